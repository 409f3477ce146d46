"""Places: who is first, who shares a place, and who has none."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mea_lib.arena.outcome import Outcome

HEADER = ("place", "entry", "score", "aim reached", "WSR left", "points lost", "tries", "remark")


@dataclass(frozen=True)
class Standing:
    """One line of a table.

    Attributes:
        place: from 1; None for an entry that failed or was disqualified.
        outcome: the entry's trials and score.
    """

    place: int | None
    outcome: Outcome

    def cells(self) -> tuple[str, ...]:
        """The line in words, in the order of HEADER."""
        outcome = self.outcome
        return (
            "–" if self.place is None else str(self.place),
            outcome.name,
            _number(outcome.score),
            f"{outcome.wins} of {len(outcome.wsrs)}" if outcome.trials else "–",
            _number(outcome.wsr, 3),
            _number(outcome.points_lost),
            str(outcome.attempts),
            outcome.remark,
        )


def standings(outcomes: Iterable[Outcome]) -> list[Standing]:
    """Outcomes of one discipline in the order of their places.

    First counts on how many watermarked models the aim was reached, then the score as the table shows it, to
    a tenth of a point. Who is equal in both shares a place, and the places after it stay free: 1, 2, 2, 4.
    After those with a place come the disqualified, then the failed.

    Raises:
        ValueError: for outcomes of both disciplines.
    """
    outcomes = list(outcomes)
    if len({outcome.discipline for outcome in outcomes}) > 1:
        raise ValueError("removals and defences do not share a table; pass the outcomes of one discipline")
    ordered = sorted(outcomes, key=lambda outcome: (_order(outcome), outcome.name))
    placed = [_order(outcome) for outcome in ordered if not outcome.remark]
    return [
        Standing(None if outcome.remark else placed.index(_order(outcome)) + 1, outcome)
        for outcome in ordered
    ]


def _order(outcome: Outcome) -> tuple[float, ...]:
    """Smaller is better."""
    if outcome.failure:
        return (2,)
    return (1 if outcome.disqualified else 0, -outcome.wins, -round(outcome.score, 1))


def _number(value: float, places: int = 1) -> str:
    return "–" if math.isnan(value) else f"{value:.{places}f}"
