"""Loss weighting: several losses, one step, and how the weights between them are found.

Every loss weighting has one method, `backward(terms, parameters, epoch, scale)`. It writes the gradient of
the weighted sum into the parameters' `.grad` and returns the weight each loss got.

Jacobians are taken row by row (parallel_chunk_size=1): the batched way does not work under autocast.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

NORMALISATIONS = ("none", "l2", "loss+")
SOLVED = 1e-12  # a gradient no longer than this is none


class Terms(NamedTuple):
    """What an objective returns for a batch: its losses by name, and the last features they were made from."""

    losses: dict[str, Tensor]
    features: Tensor | None = None


class Balance(Protocol):
    """Anything that turns several losses into one gradient."""

    def backward(
        self, terms: Terms, parameters: Sequence[Tensor], epoch: int = 0, scale: float = 1.0
    ) -> dict[str, float]: ...


@dataclass(frozen=True)
class FixedBalance:
    """A weighted sum with weights that stay.

    Attributes:
        weights: weight by the name of the loss; 1 for a loss that is not named.
    """

    weights: Mapping[str, float] = field(default_factory=dict)

    def backward(
        self, terms: Terms, parameters: Sequence[Tensor], epoch: int = 0, scale: float = 1.0
    ) -> dict[str, float]:
        weights = {name: float(self.weights.get(name, 1.0)) for name in terms.losses}
        total = sum(weights[name] * loss for name, loss in terms.losses.items())
        (total * scale).backward()
        return weights


@dataclass(frozen=True)
class MGDABalance:
    """The point of least norm in the convex hull of the losses' gradients (Eq. 9).

    min ||Σ α_t ∇l_t||², α_t ≥ 0, Σ α_t = 1, solved by TorchJD's Frank–Wolfe. Normalised gradients are the
    variant that works here: with raw ones the answer is close to the smallest gradient, which is that of a
    loss that is already solved, such as the verification loss of a collapsed model.

    Attributes:
        normalise: "none" (Eq. 9 as printed), "l2" (each gradient divided by its length), "loss+" (by its
            length times its loss). A loss gets the weight found for its normalised gradient, divided by what the
            gradient was divided by; the released code leaves that division out (`TwoGroupBalance`).
        fixed: losses that are added with a weight of their own and take no part in the weighting.

    Source: MEA-Defender (S&P 2024), Eq. 9; Désidéri (2012); Sener and Koltun (2018).
    """

    normalise: str = "l2"
    fixed: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.normalise not in NORMALISATIONS:
            raise ValueError(
                f"unknown normalisation {self.normalise!r}; choose one of: {', '.join(NORMALISATIONS)}"
            )

    def backward(
        self, terms: Terms, parameters: Sequence[Tensor], epoch: int = 0, scale: float = 1.0
    ) -> dict[str, float]:
        absent = self.fixed.keys() - terms.losses.keys()
        if absent:
            raise ValueError(
                f"fixed weights were given for {', '.join(sorted(absent))}, but the losses are {', '.join(terms.losses)}"
            )
        names = [name for name in terms.losses if name not in self.fixed]
        losses = torch.stack([terms.losses[name] for name in names])  # (T,)
        rest = sum((weight * terms.losses[name] for name, weight in self.fixed.items()), losses.new_zeros(()))
        jacobians = _jacobians(losses * scale, parameters, rest.requires_grad)
        weights = least_norm_weights(_gramian(jacobians) / scale**2, losses.detach(), self.normalise)
        if rest.requires_grad:
            (rest * scale).backward()
        for parameter, jacobian in zip(parameters, jacobians, strict=True):
            gradient = torch.tensordot(weights.to(jacobian.dtype), jacobian, dims=1)
            if parameter.grad is None:
                # In the parameter's own memory format: fused optimisers read both as they lie.
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.add_(gradient)
        return dict(zip(names, weights.tolist(), strict=True)) | dict(self.fixed)


@dataclass(frozen=True)
class FeatureBalance:
    """Eq. 9 on the gradients with respect to the last features instead of all parameters.

    One backward pass through the network instead of one for each loss. The point found bounds the one of
    Eq. 9 from above.

    Attributes:
        normalise: as in `MGDABalance`.

    Source: Sener and Koltun, Multi-Task Learning as Multi-Objective Optimization (NeurIPS 2018), MGDA-UB.
    """

    normalise: str = "l2"

    def backward(
        self, terms: Terms, parameters: Sequence[Tensor], epoch: int = 0, scale: float = 1.0
    ) -> dict[str, float]:
        if terms.features is None:
            raise ValueError("this balance needs the features; the objective returned Terms without them")
        losses = torch.stack(list(terms.losses.values()))
        (jacobian,) = _jacobians(losses * scale, [terms.features])
        weights = least_norm_weights(_gramian([jacobian]) / scale**2, losses.detach(), self.normalise)
        ((weights * losses).sum() * scale).backward()
        return dict(zip(terms.losses, weights.tolist(), strict=True))


@dataclass(frozen=True)
class TwoGroupBalance:
    """The released code's variant: MGDA weighs one group of losses against the task, whose own weight stays 1.

    With g₁ and g₂ the gradients of the two groups, each divided by its loss times its length (by 10 at most), the
    second group gets the weight α₂ of the least-norm point of {α₁g₁ + α₂g₂}, between .001 and .999, as it is: neither
    is the first group weighted by α₁, nor α₂ divided by what the gradient was divided by.

    Attributes:
        groups: names of the losses summed in either group. Cross-entropy on the whole batch, in which combined images
            and decoys lie, is the first of the authors' groups; the second is the combination loss with Composite
            Backdoor's contrastive term, for `MEADefender(contrastive=True)`.
        extra: name of the loss added once more with a fixed weight.
        extra_weight: that weight; `extra_weight_tenth` on every tenth epoch.
        extra_weight_tenth: see there.

    Source: the authors' utils/trainer.py and utils/MGDA.py ("loss+" normalisation; weights 2 and 12).
    """

    groups: tuple[tuple[str, ...], tuple[str, ...]] = (
        ("utility", "verification", "evasion"),
        ("combination", "contrastive"),
    )
    extra: str = "combination"
    extra_weight: float = 2.0
    extra_weight_tenth: float = 12.0

    def backward(
        self, terms: Terms, parameters: Sequence[Tensor], epoch: int = 0, scale: float = 1.0
    ) -> dict[str, float]:
        groups = [[name for name in group if name in terms.losses] for group in self.groups]
        for group, there in zip(self.groups, groups, strict=True):
            if not there:
                raise ValueError(
                    f"none of the losses {', '.join(terms.losses)} is of the group {', '.join(group)}"
                )
        left = terms.losses.keys() - set(chain(*groups))
        if left:
            raise ValueError(
                f"{', '.join(sorted(left))} is in neither group, so that nothing would train it; leave it out "
                "(source_guard=False), or name it in groups"
            )
        first, second = (sum(terms.losses[name] for name in group) for group in groups)
        both = torch.stack([first, second])
        gramian = _gramian(_jacobians(both * scale, parameters)) / scale**2
        lengths = gramian.diagonal().clamp_min(0).sqrt()
        divisors = (both.detach().to(lengths) * lengths).clamp_max(10) + 1e-5
        weight = _second_of_two(gramian / torch.outer(divisors, divisors))
        extra = self.extra_weight_tenth if epoch % 10 == 9 else self.extra_weight
        ((first + weight * second + extra * terms.losses[self.extra]) * scale).backward()
        return dict(zip(map("+".join, groups), (1.0, weight), strict=True)) | {"extra": extra}


def _second_of_two(gramian: Tensor) -> float:
    """Weight of the second of two gradients at their least-norm point, as the authors' solver clips it."""
    one, between, other = gramian[0, 0].item(), gramian[0, 1].item(), gramian[1, 1].item()
    if between >= one:
        return 0.001
    if between >= other:
        return 0.999
    return (one - between) / (one + other - 2 * between)


def least_norm_weights(gramian: Tensor, losses: Tensor, normalise: str = "none") -> Tensor:
    """Weights of the losses at the least-norm point, (T,).

    Args:
        gramian: (T, T) inner products of the losses' gradients.
        losses: (T,) their values, used by "loss+".
        normalise: one of NORMALISATIONS. The weights returned apply to the gradients as they are, so they
            sum to 1 only without normalisation. With one, a loss that cannot be divided by its length gets the
            weight 0: one without a gradient, such as a hinge that is met, and under "loss+" one that is not above
            zero. Without one a zero gradient is the least-norm point, as Eq. 9 says.
    """
    lengths = gramian.diagonal().clamp_min(0).sqrt()
    divisors = {
        "none": torch.ones_like(lengths),
        "l2": lengths,
        "loss+": lengths * losses.to(lengths),
    }[normalise]
    from torchjd.aggregation import MGDAWeighting

    weights = torch.zeros_like(divisors)
    kept = (divisors > SOLVED).nonzero()[:, 0]
    if len(kept):
        divisors = divisors[kept]
        alphas = MGDAWeighting()(gramian[kept][:, kept] / torch.outer(divisors, divisors))
        weights[kept] = alphas / divisors
    return weights


def gradient_cosines(losses: Mapping[str, Tensor], parameters: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """How much the losses' gradients disagree: (T, T) cosines and (T,) lengths."""
    gramian = _gramian(_jacobians(torch.stack(list(losses.values())), parameters))
    lengths = gramian.diagonal().clamp_min(0).sqrt()
    return gramian / torch.outer(lengths, lengths).clamp_min(1e-12), lengths


def _jacobians(losses: Tensor, of: Sequence[Tensor], retain_graph: bool = True) -> Sequence[Tensor]:
    """Of T losses (T,), one (T, ...) for each tensor."""
    from torchjd.autojac import jac  # here, since it takes a second that fixed weights do not need

    return jac(losses, of, retain_graph=retain_graph, parallel_chunk_size=1)


def _gramian(jacobians: Sequence[Tensor]) -> Tensor:
    """(T, T) inner products of the rows, summed over all parameters."""
    return sum(jacobian.flatten(1).float() @ jacobian.flatten(1).float().T for jacobian in jacobians)
