"""The outcome of a verification, for a person to read and for a program."""

import json
from dataclasses import dataclass, field
from typing import Any

from mea_lib.data import WatermarkKey
from mea_lib.proof.rates import Rate
from mea_lib.proof.report import Report, chance_shown, commitment_shown, rate_values, suspect_lines


@dataclass(frozen=True)
class Evidence(Report):
    """What a suspect answered, and what follows.

    Attributes:
        key: the owner's key.
        wsr: rate of watermark samples called the target class.
        threshold: rate that must be exceeded.
        alpha: largest chance of a false accusation that is accepted.
        wfpr: the same two classes, arranged otherwise.
        control: clean images of the source classes called the target class.
        queries: images asked in all, answers found in a query log among them.
        commitment: digest the key was checked against, or None.
        fewest_samples: answers to watermark samples without which there is no verdict.
        suspect: what a suspect says of itself, such as a remote one's url, model, time span and log; or None.
        failures: images without an answer by reason, where the suspect counts them.
    """

    key: WatermarkKey
    wsr: Rate
    threshold: float
    alpha: float
    wfpr: dict[str, Rate]
    control: Rate
    queries: int
    commitment: str | None
    fewest_samples: int = 0
    suspect: dict[str, Any] | None = None
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        """Watermark samples asked."""
        return self.wsr.trials

    @property
    def answered(self) -> int:
        """Watermark samples that were answered."""
        return self.wsr.answered

    @property
    def p_value(self) -> float:
        """Chance of such a success rate, or a larger one, where the true rate is at most the threshold.

        A sample without an answer counts as not the target.
        """
        return self.wsr.p_value(self.threshold)

    @property
    def is_stolen(self) -> bool:
        """Whether that chance is smaller than alpha."""
        return self.p_value < self.alpha

    @property
    def is_decided(self) -> bool:
        """Whether there is a verdict: there is proof, or there are answers enough to say that there is none."""
        return self.is_stolen or self.answered >= self.fewest_samples

    @property
    def verdict(self) -> str:
        """One of three, in words."""
        if not self.is_decided:
            return f"no verdict: only {self.answered:,} of {self.asked:,} samples were answered"
        return "carries the watermark" if self.is_stolen else "no proof of the watermark"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "verdict": self.verdict,
            "is_stolen": self.is_stolen,
            "is_decided": self.is_decided,
            "asked": self.asked,
            "answered": self.answered,
            "fewest_samples": self.fewest_samples,
            "failures": self.failures,
            "suspect": self.suspect,
            "key": json.loads(self.key.to_json()),
            "wsr": rate_values(self.wsr),
            "threshold": self.threshold,
            "p_value": self.p_value,
            "alpha": self.alpha,
            "wfpr": {way: rate_values(rate) for way, rate in self.wfpr.items()},
            "control": rate_values(self.control),
            "queries": self.queries,
            "commitment": self.commitment,
        }

    def __str__(self) -> str:
        first, second = self.key.sources
        chance = chance_shown(self.p_value)
        lines = [
            f"Verdict: {self.verdict}",
            f"Key: {first} + {second} → {self.key.target}, {self.key.combine}",
            f"Watermark success rate: {self.wsr} of {self.wsr.trials} samples (95 % interval)",
            f"Threshold: {self.threshold:.2f}; chance of such a rate below it: {chance} (alpha {self.alpha:g})",
            *self._about_silence(),
            f"Clean images of both source classes called {self.key.target}: {_shown(self.control)}",
            "The same classes, arranged otherwise:",
            *(f"  {way:<12} {_shown(rate)}" for way, rate in self.wfpr.items()),
            f"Queries asked: {self.queries:,}",
            f"Commitment: {commitment_shown(self.commitment)}",
            *suspect_lines(self.suspect),
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _about_silence(self) -> list[str]:
        """A line where not everything was answered."""
        silent = sum(rate.unanswered for rate in (self.wsr, self.control, *self.wfpr.values()))
        if not silent:
            return []
        reasons = "; ".join(f"{reason}: {images:,}" for reason, images in self.failures.items())
        return [
            f"Samples answered: {self.answered:,} of {self.asked:,}, the others count as not {self.key.target}; "
            f"images without an answer: {silent:,}" + (f" ({reasons})" if reasons else "")
        ]


def _shown(rate: Rate) -> str:
    """A rate that speaks for the accusation when it is small: only answers count."""
    if not rate.unanswered:
        return str(rate)
    return f"{rate.of_answered}, {rate.unanswered:,} unanswered" if rate.answered else "unanswered"
