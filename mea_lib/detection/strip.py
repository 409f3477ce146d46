"""STRIP: lay other images over an input; if the answer does not care, a trigger gives it.

Source: Gao, Xu, Wang, Chen, Ranasinghe and Nepal, STRIP: A Defence Against Trojan Attacks on Deep Neural Networks
(ACSAC 2019), and their released notebook: 100 overlays, both images added and cut off at white.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.blackbox import Oracle
from mea_lib.blackbox.named_class import Suspect
from mea_lib.defences.outlier_detector import threshold_at
from mea_lib.detection.screening import Flags, InputFilter
from mea_lib.models import ImageClassifier

SENT_AT_ONCE = 10_000  # superimposed images
FEWEST_IMAGES = 4


@dataclass(frozen=True)
class STRIP(InputFilter):
    """A filter that flags inputs whose answers stay certain under whatever is laid over them.

    Attributes:
        false_positives: share of the clean images that may be flagged on which the threshold is set; the paper calls
            it the false rejection rate.
        overlays: images laid over each input, drawn anew for each; each is a query.
    """

    false_positives: float = 0.01
    overlays: int = 100

    def __post_init__(self) -> None:
        if self.overlays < 1:
            raise ValueError(f"at least one image must be laid over an input, not {self.overlays}")

    def fitted(self, model: ImageClassifier, images: Tensor, seed: int) -> Flags:
        """As `InputFilter.fitted`."""
        return OverlaidEntropy(Oracle(model), images, self.false_positives, self.overlays, seed).flagged


class OverlaidEntropy:
    """How certain the answers to an input stay under overlays.

    The authors fit a normal distribution to the entropies of clean images and take its quantile; here the quantile
    is that of the entropies themselves, which near 0 are not normal.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) probabilities; each image costs `overlays` queries.
        images: (M, C, H, W) uint8, clean: one half is laid over inputs, the threshold is set on the other half.
        false_positives, overlays: as `STRIP`.
        seed: of the halves and of the overlays.

    Attributes:
        threshold: inputs whose entropy is below are flagged, in bits.

    Raises:
        ValueError: for too few images, or a rate below 0 or not below 1.
    """

    def __init__(
        self, suspect: Suspect, images: Tensor, false_positives: float, overlays: int, seed: int = 0
    ) -> None:
        if len(images) < FEWEST_IMAGES:
            raise ValueError(
                f"{len(images)} clean images are too few to overlay and to set a threshold; "
                f"pass at least {FEWEST_IMAGES}, better some hundreds"
            )
        self._suspect = suspect
        self._number = overlays
        self._generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(images), generator=self._generator)
        self._overlays, held_out = images[order.to(images.device)].chunk(2)
        self.threshold = threshold_at(self.entropies(held_out), false_positives)

    def flagged(self, images: Tensor) -> Tensor:
        """Which inputs (N, C, H, W) carry a trigger, (N,) bool on the CPU."""
        return self.entropies(images) < self.threshold

    def entropies(self, images: Tensor) -> Tensor:
        """Mean entropy of the answers to each input under its overlays, (N,) in bits, on the CPU."""
        parts = [
            entropy(self._suspect(self._superimposed(part))).view(len(part), self._number).mean(1).cpu()
            for part in images.split(max(1, SENT_AT_ONCE // self._number))
        ]
        return torch.cat(parts).double()

    def _superimposed(self, images: Tensor) -> Tensor:
        """(N, C, H, W) → (N·overlays, C, H, W) uint8, all of one input together."""
        repeated = images.repeat_interleave(self._number, 0)
        drawn = torch.randint(len(self._overlays), (len(repeated),), generator=self._generator)
        overlays = self._overlays[drawn.to(self._overlays.device)].to(images.device)
        return superimpose(repeated, overlays)


def superimpose(images: Tensor, overlays: Tensor) -> Tensor:
    """The sum of two uint8 batches (N, C, H, W), cut off at 255."""
    return (images.short() + overlays.short()).clamp_max(255).to(torch.uint8)


def entropy(answers: Tensor) -> Tensor:
    """Shannon entropy of each row of probabilities, (N, K) → (N,) in bits."""
    return -torch.special.xlogy(answers, answers).sum(1) / torch.log(torch.tensor(2.0))
