"""Random mixing: mix every two classes in every way, and see whether a pair goes to one third class.

Source: MEA-Defender (S&P 2024), Fig. 7 (PRMS).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import NamedTuple

import numpy as np
import torch

from mea_lib.blackbox.named_class import NO_CLASS, Suspect
from mea_lib.blackbox.pair_mixes import labels_of_pairs, third_class
from mea_lib.data import WAYS, ImageSet
from mea_lib.detection.anomaly_index import THRESHOLD, anomaly_indices


class PairOfClasses(NamedTuple):
    """Two classes, in whichever order, with the mix of them that is strongest.

    Attributes:
        first, second: names of the classes, as they were mixed.
        way: one of `mea_lib.data.WAYS`.
        third: name of the class that most mixes went to; None where none did.
        share: of the mixes that did.
        index: how far the share lies from the median of all pairs, see `anomaly_indices`.
    """

    first: str
    second: str
    way: str
    third: str | None
    share: float
    index: float


@dataclass(frozen=True)
class RandomMixing:
    """What was answered to mixes of every ordered pair of K classes in each of W ways.

    Attributes:
        classes: names of the classes.
        ways: the ways, in the order of the tables.
        shares: (W, K, K) by way, first and second class, the largest share of mixes that go to one third class;
            NaN where both are the same.
        thirds: (W, K, K) number of that class; NO_CLASS where there is none.
    """

    classes: tuple[str, ...]
    ways: tuple[str, ...]
    shares: np.ndarray
    thirds: np.ndarray

    @property
    def matrix(self) -> np.ndarray:
        """(K, K) largest share over all ways, first class by second class; NaN on the diagonal."""
        return self.shares.max(0)

    def ranking(self) -> list[PairOfClasses]:
        """All K(K − 1)/2 pairs, the largest share of either order and any way first."""
        pairs = list(combinations(range(len(self.classes)), 2))
        indices = anomaly_indices([max(self.matrix[a, b], self.matrix[b, a]) for a, b in pairs])
        found = [self._strongest(a, b, float(index)) for (a, b), index in zip(pairs, indices, strict=True)]
        return sorted(found, key=lambda pair: -pair.share)

    def rank(self, one: str, other: str) -> int:
        """Place of two classes in the ranking, from 1; of pairs with equal shares all have the first place.

        Raises:
            ValueError: for names that are not two of the classes.
        """
        ranking = self.ranking()
        own = [pair.share for pair in ranking if {pair.first, pair.second} == {one, other}]
        if not own:
            raise ValueError(
                f"{one!r} and {other!r} are not two of the classes; there are: {', '.join(self.classes)}"
            )
        return 1 + sum(pair.share > own[0] for pair in ranking)

    def standing_out(self) -> list[PairOfClasses]:
        """The pairs with a share above the median by an index above 2, the largest first."""
        ranking = self.ranking()
        median = np.median([pair.share for pair in ranking])
        return [pair for pair in ranking if pair.index > THRESHOLD and pair.share > median]

    def beyond(self, threshold: float) -> list[PairOfClasses]:
        """The pairs with a share above a threshold, the largest first.

        Args:
            threshold: a share, such as the one from which on an owner would speak of infringement.
        """
        return [pair for pair in self.ranking() if pair.share > threshold]

    def _strongest(self, one: int, other: int, index: float) -> PairOfClasses:
        cells = [
            (way, first, second)
            for way in range(len(self.ways))
            for first, second in ((one, other), (other, one))
        ]
        way, first, second = max(cells, key=lambda cell: self.shares[cell])
        third = self.thirds[way, first, second]
        return PairOfClasses(
            self.classes[first],
            self.classes[second],
            self.ways[way],
            None if third == NO_CLASS else self.classes[third],
            float(self.shares[way, first, second]),
            index,
        )


def detect(
    suspect: Suspect,
    images: ImageSet,
    *,
    ways: Sequence[str] = tuple(WAYS),
    samples: int = 100,
    seed: int = 0,
) -> RandomMixing:
    """Query a suspect with mixes of every ordered pair of classes in every way.

    K(K − 1) pairs times the ways times the samples are sent: 63,000 queries for ten classes by default.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers.
        images: labelled images of all classes to mix.
        ways: of `mea_lib.data.WAYS`.
        samples: mixes of each pair and way.
        seed: draws the images that are mixed.

    Raises:
        ValueError: for an unknown way, no way or no sample, or a class without an image.
    """
    if not ways or samples < 1:
        raise ValueError(f"pass at least one way and one sample, not {len(ways)} ways and {samples} samples")
    classes = len(images.classes)
    pairs = list(permutations(range(classes), 2))
    generator = torch.Generator().manual_seed(seed)
    shares = np.full((len(ways), classes, classes), np.nan)
    thirds = np.full(shares.shape, NO_CLASS)
    for number, way in enumerate(ways):
        labels = labels_of_pairs(suspect, images, pairs, samples, way, generator)
        for pair, own in zip(pairs, labels, strict=True):
            thirds[number, *pair], shares[number, *pair] = third_class(own, pair, classes)
    return RandomMixing(images.classes, tuple(ways), shares, thirds)
