"""Fine-tuning on mixes, since some mixes carry the watermark: what is mixed, and how much of it."""

from abc import ABC
from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.data import ImageSet, combine, ways_to_mix
from mea_lib.data.combine import check_ways
from mea_lib.data.mixes import draw_classes
from mea_lib.removal.base import FineTuning


@dataclass(frozen=True)
class MixTuning(FineTuning, ABC):
    """A removal that fine-tunes on clean images and on mixes, whose labels decide what it is.

    Mixes are drawn anew in every step, so that no label can be learnt by heart.

    Attributes:
        epochs, learning_rate: as `FineTuning`.
        share: mixes in a step, as a share of the clean images.
        ways: some of those to mix, each for as many mixes.
    """

    share: float = 0.5
    ways: tuple[str, ...] = ways_to_mix()

    def __post_init__(self) -> None:
        if self.share <= 0:
            raise ValueError(f"share must be above 0, not {self.share}; without mixes this is fine-tuning")
        check_ways(self.ways)

    def mixes(self, data: ImageSet, pairs: Tensor, generator: torch.Generator) -> Tensor:
        """One mix of each pair of classes (number, 2), drawn from the images: (number, C, H, W) uint8."""
        first, second = (draw_classes(data, pairs[:, side], generator) for side in (0, 1))
        mixes = torch.empty_like(first)
        for offset, way in enumerate(self.ways):
            part = slice(offset, None, len(self.ways))
            mixes[part] = combine(first[part], second[part], way, generator)
        return mixes
