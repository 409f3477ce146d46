"""Which classes a suspect's answers make suspicious: two, and a third one to which their mixes may go."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from mea_lib.detection.anomaly_index import THRESHOLD, anomaly_indices


class SuspectedKey(NamedTuple):
    """Two classes and the third one that may be their common target.

    Attributes:
        first, second: names of the two classes, as they were mixed.
        target: name of the third; None where no mix went to a third class.
        score: share of their mixes that are called the target; of `RunnerUps`, by how many nats the target leads.
        way: in which they were mixed, one of `mea_lib.data.WAYS`; None where nothing was mixed.
        index: how far the score lies from the median of the ranking, see `anomaly_indices`; None outside one.
    """

    first: str
    second: str
    target: str | None
    score: float
    way: str | None = None
    index: float | None = None


@dataclass(frozen=True)
class Ranking:
    """All that was looked at, ranked by how much it looks like a watermark.

    Attributes:
        classes: names of the K classes.
        tried: each mix that was tried, or each triple that was judged.
        queries: images that the suspect was sent.
        of_pairs: whether two classes are ranked once, by the strongest of all their mixes, rather than once with each
            target.
    """

    classes: tuple[str, ...]
    tried: tuple[SuspectedKey, ...]
    queries: int
    of_pairs: bool = False

    @cached_property
    def ranked(self) -> tuple[SuspectedKey, ...]:
        """The strongest of what was tried of the same classes in either order, the largest score first."""
        best: dict[tuple, SuspectedKey] = {}
        for one in self.tried:
            classes = (frozenset((one.first, one.second)), None if self.of_pairs else one.target)
            if classes not in best or one.score > best[classes].score:
                best[classes] = one
        if not best:
            return ()
        indices = anomaly_indices([one.score for one in best.values()])
        scored = [one._replace(index=float(index)) for one, index in zip(best.values(), indices, strict=True)]
        return tuple(sorted(scored, key=lambda one: -one.score))

    @property
    def best(self) -> SuspectedKey:
        """The first in the ranking, which there always is: its score must tell whether there is a watermark."""
        return self.ranked[0]

    def of(self, sources: Sequence[str], target: str | None = None) -> SuspectedKey | None:
        """The strongest that is ranked of these two classes in either order; None where there is none.

        Args:
            sources: names of the two classes.
            target: name of the third; None for any.

        Raises:
            ValueError: for names that are not different classes.
        """
        names = (*sources,) if target is None else (*sources, target)
        if len(sources) != 2 or len({*names} & {*self.classes}) < len(names):
            number = "two" if target is None else "three"
            raise ValueError(f"{names} are not {number} of the classes; there are: {', '.join(self.classes)}")
        of_pair = (one for one in self.ranked if {one.first, one.second} == {*sources})
        return next((one for one in of_pair if target in (None, one.target)), None)

    def rank(self, sources: Sequence[str], target: str | None = None) -> int:
        """Place of these classes in the ranking, from 1; of equal scores all have the first place.

        What could not be judged, as where no answer names one of the sources, comes after all that could.

        Args:
            sources, target: as of `of`.

        Raises:
            ValueError: for names that are not different classes.
        """
        suspected = self.of(sources, target)
        return 1 + sum(suspected is None or one.score > suspected.score for one in self.ranked)

    def standing_out(self) -> list[SuspectedKey]:
        """Those with a score above 0 and above the median, by an index above 2; the largest first."""
        least = max(0.0, float(np.median([one.score for one in self.ranked]))) if self.ranked else 0.0
        return [one for one in self.beyond(least) if one.index > THRESHOLD]

    def beyond(self, threshold: float) -> list[SuspectedKey]:
        """Those with a score above a threshold, such as the WSR from which on an owner would speak of infringement."""
        return [one for one in self.ranked if one.score > threshold]

    @cached_property
    def matrix(self) -> np.ndarray:
        """(K, K) largest score of all that was tried, first class by second class; NaN where nothing was."""
        scores = np.full((len(self.classes),) * 2, np.nan)
        for one in self.tried:
            place = self.classes.index(one.first), self.classes.index(one.second)
            scores[place] = np.fmax(scores[place], one.score)
        return scores

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: the ranking, a row each."""
        return {"queries": self.queries, "ranked": [one._asdict() for one in self.ranked]}
