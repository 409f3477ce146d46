"""Random mixing: mix every two classes in every way, and see whether a pair goes to one third class."""

from dataclasses import dataclass
from itertools import permutations

import torch

from mea_lib.blackbox.named_class import NO_CLASS, Suspect
from mea_lib.blackbox.pair_mixes import labels_of_pairs, third_class
from mea_lib.data import ImageSet, ways_to_mix
from mea_lib.data.combine import check_ways
from mea_lib.detection.base import Detector
from mea_lib.detection.ranking import Ranking, SuspectedKey


@dataclass(frozen=True)
class RandomMixing(Detector):
    """Mixes of every ordered pair of classes in every way.

    Attributes:
        ways: in which classes are mixed, see `mea_lib.data.ways_to_mix`.
        samples: mixes of each pair and way.

    Source: MEA-Defender (S&P 2024), Fig. 7 (PRMS).
    """

    ways: tuple[str, ...] = ways_to_mix(held_out=True)
    samples: int = 100

    def __post_init__(self) -> None:
        check_ways(self.ways)
        if self.samples < 1:
            raise ValueError(f"pass at least one sample, not {self.samples} samples")

    def detect(self, suspect: Suspect, images: ImageSet, *, seed: int = 0) -> Ranking:
        """Query a suspect with the mixes.

        K(K − 1) pairs times the ways times the samples are sent: 63,000 queries for ten classes by default.

        Args:
            suspect: (N, C, H, W) uint8 images → (N, K) answers.
            images: labelled images of all classes to mix.
            seed: draws the images that are mixed.

        Returns:
            the pairs of classes, ranked by the largest share of the mixes of either order and any way that go to one
            third class.

        Raises:
            ValueError: for a class without an image.
        """
        names = images.classes
        pairs = list(permutations(range(len(names)), 2))
        generator = torch.Generator().manual_seed(seed)
        tried = []
        for way in self.ways:
            labels = labels_of_pairs(suspect, images, pairs, self.samples, way, generator)
            for (first, second), pair_labels in zip(pairs, labels, strict=True):
                third, share = third_class(pair_labels, (first, second), len(names))
                target = None if third == NO_CLASS else names[third]
                tried.append(SuspectedKey(names[first], names[second], target, share, way))
        return Ranking(names, tuple(tried), queries=len(tried) * self.samples, of_pairs=True)
