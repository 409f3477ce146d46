"""Search for the key: runner-ups say which classes to mix, and a few mixes say how.

The adversary knows the method and not the key. Random mixing alone would query every pair in every way.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.blackbox.named_class import NO_CLASS, Suspect, most_probable
from mea_lib.blackbox.pair_mixes import labels_of_pairs
from mea_lib.data import ImageSet
from mea_lib.data.combine import check_ways
from mea_lib.detection.base import Detector
from mea_lib.detection.ranking import Ranking, SuspectedKey
from mea_lib.detection.runner_ups import RunnerUps

# Each is tried with either class as the first, so the two halves need one name each.
WAYS = ("left-right", "top-bottom", "pixel-merge", "stripes", "quadrants")


@dataclass(frozen=True)
class KeySearch(Detector):
    """A few mixes of the triples with the most conspicuous runner-up.

    Attributes:
        candidates: triples of the ranking by `RunnerUps` that are tried.
        ways: in which their sources are mixed, see `mea_lib.data.ways_to_mix`.
        samples: mixes of each candidate, order and way.
    """

    candidates: int = 10
    ways: tuple[str, ...] = WAYS
    samples: int = 20

    def __post_init__(self) -> None:
        check_ways(self.ways)
        if min(self.candidates, self.samples) < 1:
            raise ValueError(
                f"pass at least one candidate and one sample, not {self.candidates} and {self.samples}"
            )

    def detect(
        self,
        suspect: Suspect,
        images: Tensor,
        classes: Sequence[str],
        *,
        answers: Tensor | None = None,
        seed: int = 0,
    ) -> Ranking:
        """Name the suspected key: of the triples with the most conspicuous runner-up that whose mixes tell most.

        2 · candidates · ways · samples mixes are sent at most: 2,000 queries by default, beside the images.

        Args:
            suspect: (N, C, H, W) uint8 images → (N, K) answers.
            images: (M, C, H, W) uint8, clean, without labels.
            classes: K names.
            answers: (M, K) what the suspect said to the images, where that is known; then they are not sent again.
            seed: draws the images that are mixed.

        Returns:
            the candidates, ranked by the share of their mixes that are called the target; of equal shares the one
            that is higher in the ranking by runner-ups comes first.

        Raises:
            ValueError: for answers that name fewer than two classes.
        """
        queries = len(images) if answers is None else 0
        answers = suspect(images) if answers is None else answers
        ranked = RunnerUps().detect(suspect, images, classes, answers=answers).ranked[: self.candidates]
        if not ranked:
            raise ValueError("the answers name fewer than two classes, so there is nothing to mix")
        named = most_probable(answers)
        labelled = ImageSet(images, named.clamp_min(0).to(images.device), tuple(classes), "queries")
        labelled = labelled.subset((named != NO_CLASS).nonzero()[:, 0])
        # Two candidates may be of one pair, which is then mixed once.
        pairs = list(dict.fromkeys(pair for a, b, *_ in ranked for pair in ((a, b), (b, a))))
        numbers = [(labelled.class_index(first), labelled.class_index(second)) for first, second in pairs]
        generator = torch.Generator().manual_seed(seed)
        tried = []
        for way in self.ways:
            pair_labels = labels_of_pairs(suspect, labelled, numbers, self.samples, way, generator)
            labels = dict(zip(pairs, pair_labels, strict=True))
            for a, b, target, *_ in ranked:
                for first, second in ((a, b), (b, a)):
                    called = labels[first, second] == labelled.class_index(target)
                    share = int(called.sum()) / self.samples
                    tried.append(SuspectedKey(first, second, target, share, way))
        queries += len(pairs) * len(self.ways) * self.samples
        return Ranking(tuple(classes), tuple(tried), queries)
