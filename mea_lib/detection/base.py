"""What every detector is: whoever holds a model, or may query it, looks in it for a watermark that they do not know."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from mea_lib.blackbox.named_class import Suspect
from mea_lib.data import ImageSet

if TYPE_CHECKING:
    from mea_lib.detection.ranking import Ranking
    from mea_lib.detection.reversed_triggers import ReversedTriggers
    from mea_lib.detection.screening import Screening


@dataclass(frozen=True)
class Detector(ABC):
    """A search for a watermark. Its fields are its settings.

    What it finds has one of three shapes: `ReversedTriggers` where it looks into a model's weights, `Ranking` where
    answers make some classes suspicious, `Screening` where it flags single inputs.
    """

    @abstractmethod
    def detect(
        self, suspect: nn.Module | Suspect, images: Tensor | ImageSet, *further: Any, seed: int = 0
    ) -> "ReversedTriggers | Ranking | Screening":
        """Look for a watermark.

        Args:
            suspect: the model, where its weights or features are needed; else whatever answers
                (N, C, H, W) uint8 images with (N, K) numbers.
            images: clean ones: a tensor (M, C, H, W) uint8, or an `ImageSet` where their labels are needed.
            further: what only some methods need.
            seed: of every draw.
        """
