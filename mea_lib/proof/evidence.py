"""The outcome of a verification, for a person to read and for a program."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mea_lib.data import WatermarkKey
from mea_lib.proof.rates import Rate


@dataclass(frozen=True)
class Evidence:
    """What a suspect answered, and what follows.

    Attributes:
        key: the owner's key.
        wsr: rate of watermark samples called the target class.
        threshold: rate that must be exceeded.
        alpha: largest chance of a false accusation that is accepted.
        wfpr: the same two classes, arranged otherwise.
        control: clean images of the source classes called the target class.
        queries: images asked in all.
        commitment: digest the key was checked against, or None.
    """

    key: WatermarkKey
    wsr: Rate
    threshold: float
    alpha: float
    wfpr: dict[str, Rate]
    control: Rate
    queries: int
    commitment: str | None

    @property
    def p_value(self) -> float:
        """Chance of such a success rate, or a larger one, where the true rate is at most the threshold."""
        return self.wsr.p_value(self.threshold)

    @property
    def is_stolen(self) -> bool:
        """Whether that chance is smaller than alpha."""
        return self.p_value < self.alpha

    @property
    def verdict(self) -> str:
        return "carries the watermark" if self.is_stolen else "no proof of the watermark"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "verdict": self.verdict,
            "is_stolen": self.is_stolen,
            "key": json.loads(self.key.to_json()),
            "wsr": _rate(self.wsr),
            "threshold": self.threshold,
            "p_value": self.p_value,
            "alpha": self.alpha,
            "wfpr": {way: _rate(rate) for way, rate in self.wfpr.items()},
            "control": _rate(self.control),
            "queries": self.queries,
            "commitment": self.commitment,
        }

    def save(self, path: str | Path) -> None:
        """Write it as JSON, whole or not at all."""
        path = Path(path)
        partial = path.with_name(path.name + ".partial")
        partial.write_text(json.dumps(self.to_dict(), indent=2, ensure_ascii=False))
        os.replace(partial, path)

    def __str__(self) -> str:
        first, second = self.key.sources
        chance = "below 1e-12" if self.p_value < 1e-12 else f"{self.p_value:.2g}"
        lines = [
            f"Verdict: {self.verdict}",
            f"Key: {first} + {second} → {self.key.target}, {self.key.combine}",
            f"Watermark success rate: {self.wsr} of {self.wsr.trials} samples (95 % interval)",
            f"Threshold: {self.threshold:.2f}; chance of such a rate below it: {chance} (alpha {self.alpha:g})",
            f"Clean images of both source classes called {self.key.target}: {self.control}",
            "The same classes, arranged otherwise:",
            *(f"  {way:<12} {rate}" for way, rate in self.wfpr.items()),
            f"Queries asked: {self.queries:,}",
            f"Commitment: {'opened, ' + self.commitment[:16] + '…' if self.commitment else 'none'}",
        ]
        return "\n".join(lines)

    __repr__ = __str__


def _rate(rate: Rate) -> dict[str, Any]:
    low, high = rate.interval()
    return {"value": rate.value, "successes": rate.successes, "trials": rate.trials, "interval": [low, high]}
