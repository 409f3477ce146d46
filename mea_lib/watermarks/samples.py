"""What a watermarking step trains on beside the clean batch: watermark samples, their sources, random mixes."""

from dataclasses import dataclass
from functools import cached_property
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


@dataclass(frozen=True)
class ExtraSamples:
    """Draws the extras of a step from the training images, on their device.

    The images that are combined are mirrored at random, also where the training does not augment.

    Attributes:
        train_set: the owner's images.
        key: source classes, target class and combining scheme.
        number: watermark samples in a step, and as many random mixes.
        same_pair_share: share of the random mixes that are mixes of the key's own two classes.
        autoencoder: for keys whose scheme is "autoencoder".
    """

    train_set: ImageSet
    key: WatermarkKey
    number: int
    same_pair_share: float = 0.5
    autoencoder: torch.nn.Module | None = None

    @cached_property
    def target(self) -> Tensor:
        """(number,) the target class, as labels of the watermark samples."""
        return self._all(self.key.indices(self.train_set)[2])

    @cached_property
    def sources(self) -> tuple[Tensor, Tensor]:
        """(number,) each: the labels of what they were combined from."""
        first, second, _ = self.key.indices(self.train_set)
        return self._all(first), self._all(second)

    def _all(self, label: int) -> Tensor:
        return torch.full((self.number,), label, device=self.train_set.images.device)

    def draw(self, generator: torch.Generator) -> Extras:
        """`number` watermark samples with their sources, and as many random mixes."""
        watermarks, first, second = watermark_pairs(
            self.train_set, self.key, self.number, generator, self.autoencoder, augment=mirror
        )
        mixes, targets = random_mixes(
            self.train_set, self.key, self.number, generator, self.same_pair_share, augment=mirror
        )
        return Extras(watermarks, first, second, mixes, targets)
