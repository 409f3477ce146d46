"""Extraction with mixed images: CutMix (Yun et al. 2019) and MixUp (Zhang et al. 2018), whose answers are mixed too.

It is a common augmentation, and what a watermark on mixes must fear: the surrogate learns that a mix is what
it shows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.extraction.distillation import Distillation
from mea_lib.losses import distillation_loss
from mea_lib.models import ImageClassifier
from mea_lib.training import Batch, Objective, Terms


@dataclass(frozen=True)
class MixedDistillation(Distillation):
    """Distillation on the answers, and on mixes that are never queried.

    Attributes:
        temperature, squared: as `Distillation`; a mix has no hard label, so `soft_weight` is 1.
        kind: "cutmix", a rectangle of another image, or "mixup", a weighted mean of two.
        share: probability that a batch is mixed; all its images then, each with another of the batch, by one
            λ.

    Source: Yun et al., CutMix (ICCV 2019), and Zhang et al., mixup (ICLR 2018), both with λ from Beta(1, 1), the
    uniform distribution, as their experiments on CIFAR-10 have it.
    """

    kind: str = "cutmix"
    share: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of mix {self.kind!r}; choose one of: {', '.join(KINDS)}")
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, not {self.share}")
        if self.soft_weight != 1:
            raise ValueError(f"a mix has no hard label; take soft_weight 1, not {self.soft_weight}")

    def objective(self, answers: Tensor) -> Objective:
        """The distillation loss on a batch, mixed or not, given the victim's answers (M, K) to all queries."""
        factor = 1.0 if self.squared else self.temperature**-2
        mix = KINDS[self.kind]

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            images, wanted = batch.images, answers[batch.index]
            if torch.rand(1, generator=batch.generator).item() < self.share:
                partners = torch.randperm(len(images), generator=batch.generator).to(images.device)
                images, share = mix(images, images[partners], batch.generator)
                wanted = share * wanted + (1 - share) * wanted[partners]
            return Terms({"soft": factor * distillation_loss(model(images), wanted, self.temperature)})

        return objective


def cutmix(images: Tensor, partners: Tensor, generator: torch.Generator) -> tuple[Tensor, float]:
    """Put one rectangle of the partners, drawn for the whole batch, into the images.

    Its sides are √(1 − λ) of the image's, λ uniform, its middle anywhere; what sticks out is cut off.

    Args:
        images: (N, C, H, W).
        partners: the same shape.
        generator: a CPU generator.

    Returns:
        (N, C, H, W), and the share of each image's pixels that is its own.
    """
    height, width = images.shape[2:]
    draw, down, right = torch.rand(3, generator=generator).tolist()
    half = 0.5 * (1 - draw) ** 0.5
    top, left = (max(0, int(m * n) - int(half * n)) for m, n in ((down, height), (right, width)))
    bottom, end = (min(n, int(m * n) + int(half * n)) for m, n in ((down, height), (right, width)))
    mixed = images.clone()
    mixed[:, :, top:bottom, left:end] = partners[:, :, top:bottom, left:end]
    return mixed, 1 - (bottom - top) * (end - left) / (height * width)


def mixup(images: Tensor, partners: Tensor, generator: torch.Generator) -> tuple[Tensor, float]:
    """λ·image + (1 − λ)·partner with one uniform λ for the whole batch.

    Args:
        images: (N, C, H, W) uint8.
        partners: the same shape.
        generator: a CPU generator.

    Returns:
        (N, C, H, W) floats in [0, 1], and λ.
    """
    share = torch.rand(1, generator=generator).item()
    return (share * images.float() + (1 - share) * partners.float()) / 255, share


KINDS: dict[str, Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, float]]] = {
    "cutmix": cutmix,
    "mixup": mixup,
}
