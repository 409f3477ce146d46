"""What it brings and costs to refuse the inputs that a detector flags."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from mea_lib.blackbox import Oracle
from mea_lib.blackbox.named_class import most_probable
from mea_lib.data import ImageSet
from mea_lib.models import ImageClassifier


class Detector(Protocol):
    """Anything that flags single images."""

    def flagged(self, images: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class Screening:
    """What a detector does in front of a model.

    Attributes:
        found: share of the watermark inputs that are flagged.
        false_positives: share of the clean test images that are flagged.
        accuracy: of the model on the clean test images, all answered.
        accuracy_cost: how much of it is lost when flagged images are refused, which counts as wrong.
    """

    found: float
    false_positives: float
    accuracy: float
    accuracy_cost: float


def screen(detector: Detector, model: ImageClassifier, marked: Tensor, test: ImageSet) -> Screening:
    """Show a detector the watermark's inputs and clean images.

    Args:
        detector: its `flagged` gives (N,) bool for (N, C, H, W) uint8 images.
        model: what it stands in front of.
        marked: (M, C, H, W) uint8 watermark inputs.
        test: clean images that the detector has not seen.

    Raises:
        ValueError: without watermark inputs or without test images.
    """
    if not len(marked) or not len(test):
        raise ValueError(f"{len(marked)} watermark inputs and {len(test)} test images; pass some of both")
    refused = detector.flagged(test.images).cpu()
    right = (most_probable(Oracle(model)(test.images)) == test.labels).cpu()
    return Screening(
        found=detector.flagged(marked).float().mean().item(),
        false_positives=refused.float().mean().item(),
        accuracy=right.float().mean().item(),
        accuracy_cost=(right & refused).float().mean().item(),
    )
