"""MixUp-labelled fine-tuning: mixes carry the watermark, so each is labelled what it shows, by halves."""

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.removal.mix_tuning import MixTuning
from mea_lib.removal.own_images import OwnImages
from mea_lib.training import Batch, Objective, Terms

Pairs = tuple[tuple[str | int, str | int], ...]


@dataclass(frozen=True)
class MixUpLabels(MixTuning):
    """Mixes of two classes that are called one half each, beside clean images with their own label.

    `RelabelMixes` teaches wrong answers, and pays for them. A mix that is called what it shows is no lie, so
    the model need not forget anything but the watermark.

    Attributes:
        epochs, learning_rate, share, ways: as `MixTuning`.
        pairs: names or numbers of two classes each, such as a pair that a search has found; either class may come
            first in a mix. None takes all pairs, which needs no search.
    """

    pairs: Pairs | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.pairs is not None and not (
            self.pairs and all(len({*pair}) == len(pair) == 2 for pair in self.pairs)
        ):
            raise ValueError(f"pairs must be at least one pair of two different classes, not {self.pairs}")

    def objective(self, model: ImageClassifier, images: OwnImages) -> Objective:
        """Cross-entropy on the clean batch, and on mixes with one half on each of both classes, all in one mean.

        Raises:
            ValueError: for images that hold none of a class that is to be mixed.
        """
        data = images.labelled(model)
        one_hot = torch.eye(len(data.classes), device=data.images.device)
        pairs = pairs_to_mix(data, self.pairs)

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            number = max(1, round(self.share * len(batch.images)))
            mixes, halves = self.labelled(data, pairs, number, batch.generator)
            targets = torch.cat([one_hot[data.labels[batch.index]], halves])
            return Terms({"utility": utility_loss(model(torch.cat([batch.images, mixes])), targets)})

        return objective

    def labelled(
        self, data: ImageSet, pairs: Tensor, number: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Mixes of two classes each, and what they show.

        Args:
            data: where the images are drawn from.
            pairs: (P, 2) classes, drawn with replacement and in either order.
            number: how many mixes.
            generator: a CPU generator.

        Returns:
            (number, C, H, W) uint8 and (number, K), one half on each of both classes.
        """
        drawn = pairs[torch.randint(len(pairs), (number,), generator=generator)]  # (number, 2)
        swapped = torch.rand(number, 1, generator=generator) < 0.5
        drawn = torch.where(swapped, drawn.flip(1), drawn)
        mixes = self.mixes(data, drawn, generator)
        one_hot = torch.eye(len(data.classes), device=mixes.device)
        drawn = drawn.to(mixes.device)
        return mixes, (one_hot[drawn[:, 0]] + one_hot[drawn[:, 1]]) / 2


def pairs_to_mix(data: ImageSet, pairs: Pairs | None) -> Tensor:
    """Numbers (P, 2) of the classes that are mixed: these, or all pairs of classes of which there are images.

    Raises:
        ValueError: for a class without an image, or fewer than two classes with images.
    """
    present = data.by_class[1].nonzero()[:, 0].tolist()
    if pairs is None:
        if len(present) < 2:
            raise ValueError(f"a mix needs images of two classes; {data.name} has images of {len(present)}")
        return torch.tensor(list(combinations(present, 2)))
    numbers = [tuple(data.class_index(name) for name in pair) for pair in pairs]
    missing = {number for pair in numbers for number in pair} - set(present)
    if missing:
        raise ValueError(f"{data.name} holds no image of class {data.classes[min(missing)]!r} to mix")
    return torch.tensor(numbers)
