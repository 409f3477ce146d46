"""STRIP: lay other images over an input; if the answer does not care, a trigger gives it.

Source: Gao, Xu, Wang, Chen, Ranasinghe and Nepal, STRIP: A Defence Against Trojan Attacks on Deep Neural Networks
(ACSAC 2019), and their released notebook: 100 overlays, both images added and cut off at white.
"""

import torch
from torch import Tensor

from mea_lib.blackbox import Oracle
from mea_lib.blackbox.named_class import Suspect
from mea_lib.data import ImageSet
from mea_lib.defences.outlier_detector import threshold_at
from mea_lib.detection.screening import Screening, screen
from mea_lib.models import ImageClassifier

ASKED_AT_ONCE = 10_000  # superimposed images
FEWEST_IMAGES = 4


class Strip:
    """Flags inputs whose answers stay certain under whatever is laid over them.

    The authors fit a normal distribution to the entropies of clean images and take its quantile; here the quantile
    is that of the entropies themselves, which near 0 are not normal.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) probabilities; each image costs `overlays` queries.
        clean_images: (M, C, H, W) uint8: one half is laid over inputs, the threshold is set on the other half.
        false_positives: share of that half that may be flagged; the paper calls it the false rejection rate.
        overlays: images laid over each input, drawn anew for each.
        seed: of the halves and of the overlays.

    Attributes:
        threshold: inputs whose entropy is below are flagged, in bits.

    Raises:
        ValueError: for too few images, no overlay, or a rate below 0 or not below 1.
    """

    def __init__(
        self,
        suspect: Suspect,
        clean_images: Tensor,
        false_positives: float = 0.01,
        overlays: int = 100,
        seed: int = 0,
    ) -> None:
        if overlays < 1:
            raise ValueError(f"at least one image must be laid over an input, not {overlays}")
        if len(clean_images) < FEWEST_IMAGES:
            raise ValueError(
                f"{len(clean_images)} clean images are too few to overlay and to set a threshold; "
                f"pass at least {FEWEST_IMAGES}, better some hundreds"
            )
        self._suspect = suspect
        self._number = overlays
        self._generator = torch.Generator().manual_seed(seed)
        order = torch.randperm(len(clean_images), generator=self._generator)
        self._overlays, held_out = clean_images[order.to(clean_images.device)].chunk(2)
        self.threshold = threshold_at(self.entropies(held_out), false_positives)

    def flagged(self, images: Tensor) -> Tensor:
        """Which inputs (N, C, H, W) carry a trigger, (N,) bool on the CPU."""
        return self.entropies(images) < self.threshold

    def entropies(self, images: Tensor) -> Tensor:
        """Mean entropy of the answers to each input under its overlays, (N,) in bits, on the CPU."""
        found = [
            entropy(self._suspect(self._superimposed(part))).view(len(part), self._number).mean(1).cpu()
            for part in images.split(max(1, ASKED_AT_ONCE // self._number))
        ]
        return torch.cat(found).double()

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


def detect(
    model: ImageClassifier,
    clean_images: Tensor,
    marked: Tensor,
    test: ImageSet,
    *,
    false_positives: float = 0.01,
    overlays: int = 100,
    seed: int = 0,
) -> Screening:
    """Flag inputs whose answers no overlay changes.

    Args:
        model: is queried `overlays` times for every image, those of `clean_images` that set the threshold
            included.
        clean_images: (M, C, H, W) uint8, some hundreds.
        marked: (N, C, H, W) uint8 watermark inputs.
        test: clean images that are not among the first.
        false_positives, overlays, seed: as `Strip`.

    Raises:
        ValueError: as `Strip`.
    """
    detector = Strip(Oracle(model), clean_images, false_positives, overlays, seed)
    return screen(detector, model, marked, test)
