"""Filters that flag single inputs, and what it brings and costs to refuse those."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass

from torch import Tensor

from mea_lib.blackbox import Oracle
from mea_lib.blackbox.named_class import most_probable
from mea_lib.data import ImageSet
from mea_lib.detection.base import Detector
from mea_lib.models import ImageClassifier

Flags = Callable[[Tensor], Tensor]  # (N, C, H, W) uint8 images → (N,) bool, on the CPU


@dataclass(frozen=True)
class Screening:
    """What a filter does in front of a model.

    Attributes:
        detection_rate: share of the watermark samples that are flagged.
        false_positives: share of the clean test images that are flagged.
        accuracy: of the model on the clean test images, all answered.
        accuracy_cost: how much of it is lost when flagged images are refused, which counts as wrong.
    """

    detection_rate: float
    false_positives: float
    accuracy: float
    accuracy_cost: float

    def to_dict(self) -> dict[str, float]:
        """Plain values for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class InputFilter(Detector, ABC):
    """A detector that stands in front of a model.

    Attributes:
        false_positives: share of ordinary images that may be flagged.
    """

    false_positives: float = 0.025

    @abstractmethod
    def fitted(self, model: ImageClassifier, images: Tensor, seed: int) -> Flags:
        """The filter, once it knows ordinary images; arguments and errors as of `detect`."""

    def detect(
        self, model: ImageClassifier, images: Tensor, samples: Tensor, test: ImageSet, *, seed: int = 0
    ) -> Screening:
        """Show the filter watermark samples and clean images.

        Args:
            model: what it stands in front of; it is in evaluation mode from then on.
            images: (M, C, H, W) uint8, ordinary images: one half is learnt, the threshold is set on the other.
            samples: (N, C, H, W) uint8 watermark samples.
            test: clean images that are not among the first.
            seed: of the halves, and of whatever else is drawn.

        Raises:
            ValueError: for too few images, or a rate of false positives below 0 or not below 1.
        """
        if not len(samples) or not len(test):
            raise ValueError(
                f"{len(samples)} watermark samples and {len(test)} test images; pass some of both"
            )
        flagged = self.fitted(model, images, seed)
        refused = flagged(test.images).cpu()
        right = (most_probable(Oracle(model)(test.images)) == test.labels).cpu()
        return Screening(
            detection_rate=flagged(samples).float().mean().item(),
            false_positives=refused.float().mean().item(),
            accuracy=right.float().mean().item(),
            accuracy_cost=(right & refused).float().mean().item(),
        )
