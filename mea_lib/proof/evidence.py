"""The outcome of a verification, for a person to read and for a program."""

import json
from dataclasses import dataclass, field
from typing import Any

from mea_lib.data import WatermarkKey
from mea_lib.proof.key_rank import KeyRank
from mea_lib.proof.rates import UNASKED, Rate
from mea_lib.proof.report import (
    Report,
    commitment_shown,
    exceeds,
    p_value_shown,
    queries_shown,
    suspect_lines,
)
from mea_lib.proof.task import TaskCheck


@dataclass(frozen=True)
class Evidence(Report):
    """What a suspect answered, and what follows.

    A verdict "carries the watermark" needs all of it: a suspect that knows the task, a key that no null model
    obeys, a WSR above the threshold (`p_value`) and above that of clean images, a place in front of nearly
    all keys that the owner might have drawn (`key_p_value`), and, where the key claims its arrangement, less
    in every other one.

    Attributes:
        key: the owner's key, by the names of its classes.
        threshold: rate that must be exceeded.
        alpha: level of each test.
        fewest_samples: answers to watermark samples without which there is no verdict.
        task: what the suspect said to clean images of every class; None where nothing was sent.
        wsr: rate of watermark samples called the target class; no two samples are alike.
        effective: the same share, of as many independent samples as it is worth.
        rank: the key's place among all admissible keys, on this suspect.
        null_models: rate on each null model: a forest on the pixels first, then the clean models.
        wfpr: the same two classes, arranged otherwise.
        control: clean images of the source classes called the target class.
        arrangement: whether the key claims its own arrangement.
        stopped: why the suspect was queried no further; None where it was.
        queries: how many in all, answers found in a query log among them.
        queries_now: how many of them the suspect was sent now; None where it does not say.
        commitment: digest the key was checked against, or None.
        suspect: what a suspect says of itself, such as a remote one's url, model, time span and log; or None.
        failures: images without an answer by reason, where the suspect counts them.
    """

    key: WatermarkKey
    threshold: float
    alpha: float
    fewest_samples: int = 0
    task: TaskCheck | None = None
    wsr: Rate = UNASKED
    effective: Rate = UNASKED
    rank: KeyRank | None = None
    null_models: tuple[Rate, ...] = ()
    wfpr: dict[str, Rate] = field(default_factory=dict)
    control: Rate = UNASKED
    arrangement: bool = False
    stopped: str | None = None
    queries: int = 0
    queries_now: int | None = None
    commitment: str | None = None
    suspect: dict[str, Any] | None = None
    failures: dict[str, int] = field(default_factory=dict)

    @property
    def sent(self) -> int:
        """Watermark samples sent."""
        return self.wsr.trials

    @property
    def answered(self) -> int:
        """Watermark samples that were answered."""
        return self.wsr.answered

    @property
    def p_value(self) -> float:
        """Probability of such a WSR, or a larger one, where the true one is at most the threshold.

        Of independent samples; one without an answer counts as not the target.
        """
        return self.effective.p_value(self.threshold)

    @property
    def key_p_value(self) -> float:
        """Probability that a key drawn at random stands so far in front on a suspect that is clean.

        Where the forest alone was asked it holds whatever the suspect is; with clean models beside it, for a suspect of
        which, were it clean, nobody could say which of them it is. It is of one commitment: of m, m times as much.
        """
        return self.rank.p_value if self.rank else 1.0

    @property
    def control_p_value(self) -> float:
        """Probability of such a difference to clean images of the source classes, were both called the target alike."""
        return exceeds(self.effective, self.control.of_answered)

    @property
    def arrangement_p_value(self) -> float | None:
        """The largest such p-value over the other arrangements; None where the key does not claim its own."""
        if not self.arrangement:
            return None
        return max((exceeds(self.effective, rate.of_answered) for rate in self.wfpr.values()), default=1.0)

    @property
    def missing(self) -> list[str]:
        """What a proof would need and does not have, in words."""
        tests = {
            f"its rate is not proven to exceed {self.threshold:g}": self.p_value,
            "too many other keys do as well": self.key_p_value,
            "clean images of its classes are called the target as often": self.control_p_value,
            "another arrangement does as well": self.arrangement_p_value or 0.0,
        }
        return [words for words, p_value in tests.items() if not p_value < self.alpha]

    @property
    def is_stolen(self) -> bool:
        """Whether nothing stands against it and every p-value is smaller than alpha."""
        return self.stopped is None and not self.missing

    @property
    def is_decided(self) -> bool:
        """Whether there is a verdict: there is proof, or there are answers enough to say that there is none."""
        return self.stopped is None and (self.is_stolen or self.answered >= self.fewest_samples)

    @property
    def verdict(self) -> str:
        """One of three, in words."""
        if self.stopped is not None:
            return f"no verdict: {self.stopped}"
        if not self.is_decided:
            return f"no verdict: only {self.answered:,} of {self.sent:,} samples were answered"
        return "carries the watermark" if self.is_stolen else "no proof of the watermark"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "verdict": self.verdict,
            "is_stolen": self.is_stolen,
            "is_decided": self.is_decided,
            "missing": self.missing if self.stopped is None else [],
            "sent": self.sent,
            "answered": self.answered,
            "fewest_samples": self.fewest_samples,
            "failures": self.failures,
            "suspect": self.suspect,
            "key": json.loads(self.key.to_json()),
            "task": self.task.to_dict() if self.task else None,
            "wsr": self.wsr.to_dict(),
            "effective": self.effective.to_dict(),
            "threshold": self.threshold,
            "p_value": self.p_value,
            "rank": self.rank.rank if self.rank else None,
            "admissible_keys": self.rank.keys if self.rank else None,
            "places": self.rank.places if self.rank else None,
            "key_p_value": self.key_p_value,
            "alpha": self.alpha,
            "null_models": [rate.to_dict() for rate in self.null_models],
            "wfpr": {way: rate.to_dict() for way, rate in self.wfpr.items()},
            "arrangement": self.arrangement,
            "arrangement_p_value": self.arrangement_p_value,
            "control": self.control.to_dict(),
            "control_p_value": self.control_p_value,
            "queries": self.queries,
            "queries_now": self.queries_now,
            "commitment": self.commitment,
        }

    def __str__(self) -> str:
        first, second = self.key.sources
        lines = [
            f"Verdict: {self.verdict}",
            f"Key: {first} + {second} → {self.key.target}, {self.key.combine}",
            *(self.task.lines(self.key) if self.task else []),
            *(self._about_samples() if self.wsr.trials else []),
            *self._about_null_models(),
            queries_shown(self.queries, self.queries_now, self.suspect),
            f"Commitment: {commitment_shown(self.commitment)}",
            *suspect_lines(self.suspect),
        ]
        return "\n".join(lines)

    __repr__ = __str__

    def _about_samples(self) -> list[str]:
        low, high = self.effective.interval()
        target, claimed = self.key.target, "" if self.arrangement else " (not claimed to differ)"
        because = f"Because: {'; '.join(self.missing)}"
        return [
            *([because] if self.is_decided and not self.is_stolen else []),
            f"Watermark success rate: {self.wsr} of {self.wsr.trials} different samples (95 % interval)",
            f"Over source images: [{low:.3f}, {high:.3f}], as of {self.effective.trials:,} independent samples",
            f"The true rate on such mixes exceeds {self.threshold:.2f}: p {p_value_shown(self.p_value)} "
            f"(alpha {self.alpha:g})",
            *self._about_silence(),
            f"Clean images of both source classes called {target}: {_shown(self.control)}; "
            f"p {p_value_shown(self.control_p_value)}",
            f"The same classes, arranged otherwise{claimed}:",
            *(f"  {way:<12} {_shown(rate)}" for way, rate in self.wfpr.items()),
        ]

    def _about_null_models(self) -> list[str]:
        lines = []
        if self.rank and self.wsr.trials:
            on = f" on {len(self.null_models)} models" if len(self.null_models) > 1 else ""
            searched = "" if len(self.null_models) > 1 else " for a key drawn at random"
            lines.append(
                f"Place of the key: {self.rank.rank:,} of {self.rank.places:,} admissible keys{on}; "
                f"p {p_value_shown(self.key_p_value)}{searched}"
            )
        if self.null_models:
            forest, *clean = self.null_models
            models = f"{len(clean)} clean model" + ("s" if len(clean) != 1 else "")
            said = (
                f"at most {max(rate.value for rate in clean):.3f} of {models}"
                if clean
                else "no clean model given"
            )
            lines.append(f"The key on null models: {forest.value:.3f} of a forest on the pixels, {said}")
        return lines

    def _about_silence(self) -> list[str]:
        """A line where not everything was answered."""
        silent = sum(rate.unanswered for rate in (self.wsr, self.control, *self.wfpr.values()))
        if not silent:
            return []
        reasons = "; ".join(f"{reason}: {images:,}" for reason, images in self.failures.items())
        return [
            f"Samples answered: {self.answered:,} of {self.sent:,}, the others count as not {self.key.target}; "
            f"images without an answer: {silent:,}" + (f" ({reasons})" if reasons else "")
        ]


def _shown(rate: Rate) -> str:
    """A rate that speaks for the accusation when it is small: only answers count."""
    if not rate.unanswered:
        return str(rate)
    return f"{rate.of_answered}, {rate.unanswered:,} unanswered" if rate.answered else "unanswered"
