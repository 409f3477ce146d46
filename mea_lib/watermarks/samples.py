"""What a watermarking step trains on beside the clean batch: watermark samples, their sources, random mixes."""

from typing import NamedTuple

import torch
from torch import Tensor

from mea_lib.data import ImageSet, WatermarkKey, random_mixes, watermark_pairs
from mea_lib.training.augment import mirror


class Extras(NamedTuple):
    """One step's extra images.

    Attributes:
        watermarks: (N, C, H, W) combined as the key says.
        first: (N, C, H, W) what they were combined from, of the first source class.
        second: (N, C, H, W) the same of the second.
        mixes: (M, C, H, W) random mixes: the same classes combined otherwise, other classes.
        mix_targets: (M, K) what those should be called.
    """

    watermarks: Tensor
    first: Tensor
    second: Tensor
    mixes: Tensor
    mix_targets: Tensor


class ExtraSamples:
    """Draws the extras of a step from the training images, on their device."""

    def __init__(
        self,
        train_set: ImageSet,
        key: WatermarkKey,
        number: int,
        *,
        same_pair_share: float = 0.5,
        autoencoder: torch.nn.Module | None = None,
    ) -> None:
        first, second, target = key.indices(train_set)
        self.key = key
        self.number = number
        self.train_set = train_set
        self.same_pair_share = same_pair_share
        self.autoencoder = autoencoder
        self.target = torch.full((number,), target, device=train_set.images.device)
        self.sources = (torch.full_like(self.target, first), torch.full_like(self.target, second))

    def draw(self, generator: torch.Generator) -> Extras:
        """`number` watermark samples with their sources, and as many random mixes."""
        watermarks, first, second = watermark_pairs(
            self.train_set, self.key, self.number, generator, self.autoencoder, augment=mirror
        )
        mixes, targets = random_mixes(
            self.train_set, self.key, self.number, generator, self.same_pair_share, augment=mirror
        )
        return Extras(watermarks, first, second, mixes, targets)
