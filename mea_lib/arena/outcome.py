"""What an entry reached: one trial a model, and the score that follows from them."""

import math
from dataclasses import asdict, dataclass
from typing import Any

DISCIPLINES = ("removal", "defence")
POINT_DECIMALS = 3  # of points of accuracy: the others are the rounding of float32


@dataclass(frozen=True)
class Trial:
    """One model that an entry changed or made.

    Attributes:
        model: its name in the contest, such as "key 1" or "clean 1".
        points_lost: percentage points of accuracy lost, at least 0.
        wsr: of the hidden key, from 0 to 1; None for a model without a watermark. For a defence the
            least that any attack left.
        proof: whether `verify_ownership` finds proof of the hidden key; None for a model without a watermark.
        attack: for a defence, the attack that left the least.
        false_proofs: for a defence, how many decoy keys the model answers to with proof.
        missing: where there is no proof, what it would need and does not have, in words.
    """

    model: str
    points_lost: float
    wsr: float | None = None
    proof: bool | None = None
    attack: str | None = None
    false_proofs: int = 0
    missing: tuple[str, ...] = ()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Trial":
        """The trial from plain values, in which JSON has made tuples into lists."""
        return cls(**values | {"missing": tuple(values.get("missing", ()))})


@dataclass(frozen=True)
class Outcome:
    """An entry's trials, or why there are none.

    Attributes:
        name: of the entry.
        discipline: "removal" or "defence".
        trials: one a model, watermarked ones first; empty for an entry that failed.
        points_allowed: percentage points of accuracy that may be lost on any one model.
        failure: one line that says why an entry failed, or None.
        attempts: how often this name was judged by now. Each attempt tells its author something about the keys.
    """

    name: str
    discipline: str
    trials: tuple[Trial, ...]
    points_allowed: float
    failure: str | None = None
    attempts: int = 1

    def __post_init__(self) -> None:
        if self.discipline not in DISCIPLINES:
            raise ValueError(
                f"unknown discipline {self.discipline!r}; choose one of: {', '.join(DISCIPLINES)}"
            )

    @property
    def wsrs(self) -> list[float]:
        """The WSR that is left on each model that had a watermark."""
        return [trial.wsr for trial in self.trials if trial.wsr is not None]

    @property
    def wsr(self) -> float:
        """Their mean; NaN where there are none."""
        return _mean(self.wsrs)

    @property
    def points_lost(self) -> float:
        """Mean over all trials of the accuracy lost, in percentage points; NaN where there are none."""
        return _mean([trial.points_lost for trial in self.trials])

    @property
    def most_points_lost(self) -> float:
        """The same of the model that lost most."""
        return max((trial.points_lost for trial in self.trials), default=math.nan)

    @property
    def wins(self) -> int:
        """Watermarked models on which the aim was reached: no proof left (removal), or proof (defence)."""
        return sum(
            trial.proof == (self.discipline == "defence") for trial in self.trials if trial.proof is not None
        )

    @property
    def score(self) -> float:
        """100 · (1 − WSR) − points lost for a removal, 100 · WSR − points lost for a defence.

        WSR and points are means over the models; NaN for an entry that failed. A point of accuracy is worth
        as much as a hundredth of the WSR.
        """
        reached = self.wsr if self.discipline == "defence" else 1 - self.wsr
        return 100 * reached - self.points_lost

    @property
    def disqualified(self) -> str | None:
        """Why the entry has no place although it ran, or None."""
        if round(self.most_points_lost, POINT_DECIMALS) > self.points_allowed:
            return (
                f"lost {self.most_points_lost:.1f} points on one model, {self.points_allowed:g} are allowed"
            )
        if false := sum(trial.false_proofs for trial in self.trials):
            return f"answers to {false} decoy key{'s' if false > 1 else ''} that it was never given"
        return None

    @property
    def remark(self) -> str:
        """Why there is no place, or an empty line."""
        return self.failure or self.disqualified or ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them."""
        return asdict(self) | {"trials": [asdict(trial) for trial in self.trials]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Outcome":
        """The outcome that `to_dict` wrote.

        Raises:
            TypeError, KeyError: for values that it did not write.
        """
        return cls(**values | {"trials": tuple(map(Trial.from_dict, values["trials"]))})


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
