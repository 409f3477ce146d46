"""Search for the key: runner-ups say which classes to mix, and a few mixes say how.

The adversary knows the method and not the key. Random mixing alone would query every pair in every way.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mea_lib.blackbox.named_class import NO_CLASS, Suspect, most_probable
from mea_lib.blackbox.pair_mixes import labels_of_pairs
from mea_lib.data import ImageSet
from mea_lib.detection import runner_ups

# Each is tried with either class as the first, so the two halves need one name each.
WAYS = ("left-right", "top-bottom", "pixel-merge", "stripes", "quadrants")


class TriedMix(NamedTuple):
    """One way to mix two classes, and how often its mixes are called a third.

    Attributes:
        first, second: names of the classes, as they were mixed.
        target: name of the third class.
        way: one of `mea_lib.data.WAYS`.
        share: of the mixes that are called the target.
        place: of the three classes in the ranking by runner-ups, from 1.
    """

    first: str
    second: str
    target: str
    way: str
    share: float
    place: int


@dataclass(frozen=True)
class KeySearch:
    """What was tried, and what it cost.

    Attributes:
        tried: the largest share first; of equal shares the one that is higher in the ranking by runner-ups.
        queries: mixes sent.
    """

    tried: tuple[TriedMix, ...]
    queries: int

    @property
    def found(self) -> TriedMix:
        """The suspected key."""
        return self.tried[0]


def detect(
    suspect: Suspect,
    images: Tensor,
    answers: Tensor,
    classes: Sequence[str],
    *,
    candidates: int = 10,
    ways: Sequence[str] = WAYS,
    samples: int = 20,
    seed: int = 0,
) -> KeySearch:
    """Name the suspected key: of the triples with the most conspicuous runner-up that whose mixes tell most.

    2 · candidates · ways · samples mixes are sent at most: 2,000 queries by default, beside images that were
    sent anyway. Whatever is sent, one triple is the most suspicious; whether there is a watermark its share
    must tell.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers.
        images: (M, C, H, W) uint8, clean, without labels.
        answers: (M, K) what the suspect said to them.
        classes: K names.
        candidates: triples of the ranking that are tried.
        ways: of `mea_lib.data.WAYS`.
        samples: mixes of each candidate, order and way.
        seed: draws the images that are mixed.

    Raises:
        ValueError: for an unknown way, no way, candidate or sample, or answers that name fewer than two classes.
    """
    if not ways or min(candidates, samples) < 1:
        raise ValueError(
            f"pass at least one way, candidate and sample, not {len(ways)}, {candidates} and {samples}"
        )
    ranked = runner_ups.detect(answers, classes).ranking()[:candidates]
    if not ranked:
        raise ValueError("the answers name fewer than two classes, so there is nothing to mix")
    named = most_probable(answers)
    own = ImageSet(images, named.clamp_min(0).to(images.device), tuple(classes), "queries")
    own = own.subset((named != NO_CLASS).nonzero()[:, 0])
    # Two candidates may be of one pair, which is then mixed once.
    pairs = list(dict.fromkeys(pair for a, b, *_ in ranked for pair in ((a, b), (b, a))))
    numbers = [(own.class_index(first), own.class_index(second)) for first, second in pairs]
    generator = torch.Generator().manual_seed(seed)
    tried = []
    for way in ways:
        labels = dict(
            zip(pairs, labels_of_pairs(suspect, own, numbers, samples, way, generator), strict=True)
        )
        for place, (a, b, target, *_) in enumerate(ranked, start=1):
            for first, second in ((a, b), (b, a)):
                called = labels[first, second] == own.class_index(target)
                share = int(called.sum()) / samples
                tried.append(TriedMix(first, second, target, way, share, place))
    tried.sort(key=lambda mix: (-mix.share, mix.place))
    return KeySearch(tuple(tried), queries=len(pairs) * len(ways) * samples)
