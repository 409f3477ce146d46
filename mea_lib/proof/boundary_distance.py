"""How far an image is from a model's decision boundary: by a blind walk through its API, or by gradient descent."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from mea_lib.blackbox import Suspect
from mea_lib.blackbox.named_class import most_probable
from mea_lib.data import ImageSet
from mea_lib.models.evaluation import in_evaluation
from mea_lib.proof.class_names import at_the_door

NORMS = ("l1", "l2", "linf")


class Distances(NamedTuple):
    """What an image's place in a model is described by.

    Attributes:
        values: (N, 3, D) distances in each of NORMS, of pixels in [0, 1]; NaN for an image with a query that was not
            answered.
        queries: images that were sent.
    """

    values: Tensor
    queries: int


class Embedding(Protocol):
    """A way to measure distances."""

    def taken(self, model: Suspect | nn.Module, classes: Sequence[str]) -> Suspect | nn.Module:
        """The model as `distances` takes it, with its answers in the order of these classes."""

    def distances(self, model: Suspect | nn.Module, data: ImageSet) -> Distances:
        """Of labelled images."""

    def most_queries(self, images: int) -> int:
        """Images that so many cost at the most."""


@dataclass(frozen=True)
class BlindWalk:
    """Black box: step on in a random direction until the model no longer names the image's class.

    A direction is one draw of noise: from Laplace's distribution for L1, normal for L2, uniform for L∞.

    Attributes:
        directions: walks of an image for each norm.
        steps: the last one, at most; an image that is still called its class there is given that distance. The authors
            take 50, and 100 steps of twice the size for SVHN.
        laplace: scale of the noise of one step, of pixels in [0, 1].
        normal: its standard deviation.
        uniform: the largest of its numbers.
        seed: draws the directions, the same for every model.

    Source: Maini et al., Dataset Inference (ICLR 2021), Sec. 5.1, with the step sizes of the released code. That begins
    with the first step; here an image that is called another class as it is has the distance 0. And images are uint8,
    as an API takes them, so steps are rounded.
    """

    directions: int = 10
    steps: int = 50
    laplace: float = 0.01
    normal: float = 0.005
    uniform: float = 0.005
    seed: int = 0

    def __post_init__(self) -> None:
        if self.directions < 1 or self.steps < 1 or min(self.laplace, self.normal, self.uniform) <= 0:
            raise ValueError(
                "a blind walk has at least 1 direction and 1 step, and noise above 0, not "
                f"{self.directions}, {self.steps} and {self.laplace}, {self.normal}, {self.uniform}"
            )

    def taken(self, model: Suspect | nn.Module, classes: Sequence[str]) -> Suspect:
        """Whatever answers queries."""
        return at_the_door(model, classes)

    def most_queries(self, images: int) -> int:
        """Images that so many cost, if none of their walks ends before its last step."""
        return images * (1 + len(NORMS) * self.directions * self.steps)

    def distances(self, model: Suspect, data: ImageSet) -> Distances:
        """(N, 3, directions) distances; the model is (N, C, H, W) uint8 images → (N, K) answers."""
        generator = torch.Generator().manual_seed(self.seed)
        images, labels = data.images.cpu(), data.labels.cpu()
        values = torch.empty(len(images), len(NORMS), self.directions)
        at_home, silent = _called_so(model, images, labels)
        queries = len(images)
        for number, norm in enumerate(NORMS):
            for direction in range(self.directions):
                noise = self._noise(norm, tuple(images.shape), generator)
                moved = images.clone()
                left = at_home.nonzero()[:, 0]
                for step in range(1, self.steps + 1):
                    if not len(left):
                        break
                    pixels = images[left].float() / 255 + step * noise[left]
                    moved[left] = pixels.clamp(0, 1).mul(255).round().to(torch.uint8)
                    still, unanswered = _called_so(model, moved[left], labels[left])
                    queries += len(left)
                    silent[left] |= unanswered
                    left = left[still]
                values[:, number, direction] = length((moved.float() - images.float()) / 255, norm)
        values[silent] = torch.nan
        return Distances(values, queries)

    def _noise(self, norm: str, shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """(N, C, H, W) one direction for each image."""
        if norm == "l2":
            return self.normal * torch.randn(shape, generator=generator)
        uniform = 2 * torch.rand(shape, generator=generator) - 1  # from −1 to 1
        if norm == "linf":
            return self.uniform * uniform
        # The inverse of Laplace's distribution function.
        return -self.laplace * uniform.sign() * (1 - uniform.abs()).clamp_min(1e-7).log()


@dataclass(frozen=True)
class MinGD:
    """White box: gradient descent from the image to each other class, in steps that suit the norm.

    What falls is the largest logit less that class's. A step goes along the sign of the gradient for L∞, along the
    gradient for L2, and for L1 along the sign of the largest parts of the gradient alone.

    Attributes:
        classes: the nearest other classes by their logits on the image, at most; the authors' 10 of CIFAR-100's.
        steps: at most.
        l1_step: how far all coordinates of a step go together.
        coordinates: that an L1 step changes.
        l2_step: length of a step for L2.
        linf_step: of each coordinate for L∞.

    Source: Maini et al., Dataset Inference (ICLR 2021), Sec. 5.1, with the steps of the released code. That takes the
    distance to an image's own class among ten, which is 0 for nearly all; here, as in the paper, it is to other classes.
    """

    classes: int = 10
    steps: int = 500
    l1_step: float = 1.0
    coordinates: int = 100
    l2_step: float = 0.01
    linf_step: float = 0.001

    def __post_init__(self) -> None:
        if min(self.classes, self.steps, self.coordinates) < 1:
            raise ValueError(
                "classes, steps and coordinates must be at least 1, "
                f"not {self.classes}, {self.steps} and {self.coordinates}"
            )
        if min(self.l1_step, self.l2_step, self.linf_step) <= 0:
            raise ValueError(
                f"the steps must be longer than 0, not {self.l1_step}, {self.l2_step} and {self.linf_step}"
            )

    def taken(self, model: Suspect | nn.Module, classes: Sequence[str]) -> nn.Module:
        """The module itself; its classes must be in this order.

        Raises:
            TypeError: for something that is no module, which has no gradients.
        """
        if not isinstance(model, nn.Module):
            raise TypeError(
                f"MinGD needs the model itself, for its gradients, not {type(model).__name__}; take BlindWalk() for an API"
            )
        return model

    def most_queries(self, images: int) -> int:
        """None: it is given the model, and asks no API."""
        return 0

    def distances(self, model: nn.Module, data: ImageSet) -> Distances:
        """(N, 3, D) distances in rising order, D the smaller of `classes` and the number of other classes.

        Args:
            model: (N, C, H, W) images of floats in [0, 1] → (N, K) logits.
            data: labelled images.
        """
        device = next(model.parameters()).device
        pixels, labels = data.images.to(device).float() / 255, data.labels.to(device)
        with in_evaluation(model):
            with torch.no_grad():
                logits = model(pixels)
            # The own class comes last in this order and is left out.
            others = logits.scatter(1, labels[:, None], -torch.inf).argsort(1, descending=True)[:, :-1]
            others = others[:, : self.classes]  # (N, D)
            values = [
                torch.stack(
                    [length(self._descend(model, pixels, target, norm), norm) for target in others.T], dim=1
                )
                for norm in NORMS
            ]
        return Distances(torch.stack(values, dim=1).sort(2).values.cpu(), 0)

    def _descend(self, model: nn.Module, pixels: Tensor, target: Tensor, norm: str) -> Tensor:
        """(N, C, H, W) by how much the pixels move until the model names the target class."""
        moved = pixels.clone()
        left = torch.arange(len(pixels), device=pixels.device)
        for _ in range(self.steps):
            part = moved[left].requires_grad_()
            logits = model(part)
            far = (logits.argmax(1) != target[left]).nonzero()[:, 0]
            if not len(far):
                break
            gap = logits.amax(1) - logits.gather(1, target[left][:, None])[:, 0]  # (N,)
            (gradient,) = torch.autograd.grad(gap[far].sum(), part)
            left, part, gradient = left[far], part.detach()[far], gradient[far]
            moved[left] = (part - self._step(gradient, part, norm)).clamp(0, 1)
        return moved - pixels

    def _step(self, gradient: Tensor, pixels: Tensor, norm: str) -> Tensor:
        if norm == "linf":
            return self.linf_step * gradient.sign()
        if norm == "l2":
            return self.l2_step * gradient / length(gradient, "l2").clamp_min(1e-12)[:, None, None, None]
        # A pixel that is at its end cannot be moved further, and would take another's place among the largest.
        at_end = torch.where(gradient > 0, pixels <= 0, pixels >= 1)
        free = gradient.masked_fill(at_end, 0).flatten(1)
        number = min(self.coordinates, free.shape[1])
        largest = free.abs().topk(number, dim=1).indices
        step = torch.zeros_like(free).scatter(1, largest, free.gather(1, largest).sign())
        return (self.l1_step / self.coordinates * step).view_as(gradient)


def length(offsets: Tensor, norm: str) -> Tensor:
    """(N, C, H, W) → (N,) in one of NORMS."""
    rows = offsets.flatten(1)
    if norm == "linf":
        return rows.abs().amax(1)
    return rows.norm(dim=1) if norm == "l2" else rows.abs().sum(1)


def _called_so(model: Suspect, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """(N,) whether each image is called its class, and whether it got no answer at all."""
    answers = model(images)
    return (most_probable(answers).cpu() == labels), answers.isnan().any(1).cpu()
