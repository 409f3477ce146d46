"""Runner-ups: does one class come second on clean images of two others, more than their likeness explains?

The watermark travels by clean answers: on images of both source classes the target is second and the other
source far behind. So the answers alone, without a single mix, tell where to look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from torch import Tensor

from mea_lib.blackbox.named_class import most_probable
from mea_lib.detection.anomaly_index import THRESHOLD, anomaly_indices

FLOOR = 1e-6  # a smaller probability, such as one rounded to 0, counts as this


class Triple(NamedTuple):
    """Two classes and a third that may be their common target.

    Attributes:
        first, second: names of the two classes, in the order of the classes.
        target: name of the third.
        margin: by how many nats the target leads all other classes in the blend of the two classes' usual answers;
            below 0 where another class leads.
        index: how far the margin lies from the median of all triples, see `anomaly_indices`.
    """

    first: str
    second: str
    target: str
    margin: float
    index: float


@dataclass(frozen=True)
class RunnerUps:
    """How far each class is ahead in the blend of every two others.

    Attributes:
        classes: names of the K classes.
        profiles: (K, K) usual log-probabilities, class named by class; NaN for a class that no answer names.
        margins: (K, K, K) by the two classes, in either order, and the target; NaN where two of them are equal or
            where no answer names one of the two.
    """

    classes: tuple[str, ...]
    profiles: np.ndarray
    margins: np.ndarray

    def ranking(self) -> list[Triple]:
        """All triples that can be judged, at most K(K − 1)(K − 2)/2, the largest margin first."""
        places = [
            (a, b, t)
            for a, b in combinations(range(len(self.classes)), 2)
            for t in range(len(self.classes))
            if not np.isnan(self.margins[a, b, t])
        ]
        if not places:
            return []
        margins = [float(self.margins[place]) for place in places]
        found = [
            Triple(*(self.classes[number] for number in place), margin, float(index))
            for place, margin, index in zip(places, margins, anomaly_indices(margins), strict=True)
        ]
        return sorted(found, key=lambda triple: -triple.margin)

    def rank(self, sources: tuple[str, str], target: str) -> int:
        """Place of these classes in the ranking, from 1; of triples with equal margins all have the first place.

        A triple that cannot be judged, since no answer names one of its sources, comes after all that can.

        Raises:
            ValueError: for names that are not three of the classes.
        """
        names = (*sources, target)
        if len({*names} & {*self.classes}) < 3:
            raise ValueError(f"{names} are not three of the classes; there are: {', '.join(self.classes)}")
        own = self.margins[tuple(map(self.classes.index, names))]
        return 1 + sum(bool(np.isnan(own) or triple.margin > own) for triple in self.ranking())

    def standing_out(self) -> list[Triple]:
        """The triples whose target leads the blend, with an index above 2; the largest margin first."""
        return [triple for triple in self.ranking() if triple.margin > 0 and triple.index > THRESHOLD]


def detect(answers: Tensor, classes: Sequence[str]) -> RunnerUps:
    """Rank all triples by answers to clean images, which an adversary has paid for already: no query is sent.

    Images count for the class that their answer names. A class's profile is the median, over its images, of each
    log-probability, which a few odd images do not move. The mean of two profiles is what a model would answer to a
    mix that shows each class by halves, were its logits additive: the two classes veto each other there, and the
    class that both like second may win.

    Args:
        answers: (M, K) probabilities; hard labels say nothing of runner-ups, and give equal margins.
        classes: K names.

    Raises:
        ValueError: where answers and classes do not fit.
    """
    number = len(classes)
    if answers.ndim != 2 or answers.shape[1] != number or number < 3:
        raise ValueError(
            f"{number} classes need answers of the shape (M, {number}), and at least 3 classes, "
            f"not {tuple(answers.shape)}"
        )
    named = most_probable(answers).cpu()
    logs = answers.cpu().double().clamp_min(FLOOR).log()
    profiles = np.full((number, number), np.nan)
    for label in range(number):
        if (named == label).any():
            profiles[label] = logs[named == label].quantile(0.5, dim=0).numpy()
    margins = np.full((number,) * 3, np.nan)
    for one, other in combinations(range(number), 2):
        blend = (profiles[one] + profiles[other]) / 2
        for target in set(range(number)) - {one, other}:
            margins[one, other, target] = margins[other, one, target] = (
                blend[target] - np.delete(blend, target).max()
            )
    return RunnerUps(tuple(classes), profiles, margins)
