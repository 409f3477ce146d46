"""Evidence from altered answers: the suspect repeats mistakes that only one API client was told.

For answers that `DAWN` altered. The queries are the client's own, so the suspect may have been trained on them; the
mistakes are drawn by a key, so that no model of the task makes them by itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mea_lib.defences.dawn import DAWN, AlteredAnswers
from mea_lib.proof.class_names import at_the_door
from mea_lib.proof.plan import check_budget, check_decides
from mea_lib.proof.rates import Rate, target_rate
from mea_lib.proof.report import Report, exceeds, p_value_shown, suspect_lines


@dataclass(frozen=True)
class AlteredEvidence(Report):
    """How many altered answers a suspect repeats, and what follows.

    Attributes:
        repeated: rate of altered answers that the suspect gives too (1 − L in the paper).
        control: the same for answers that other keys would have altered among the same queries, which nobody was told.
        classes: K; a suspect that guesses repeats one in K.
        fewest: rate that must be exceeded (1 − e in the paper).
        alpha: level of the test.
        queries: images the suspect was sent.
        suspect: what a suspect says of itself; or None.
    """

    repeated: Rate
    control: Rate
    classes: int
    fewest: float
    alpha: float
    queries: int
    suspect: dict[str, Any] | None = None

    @property
    def p_value_of_guessing(self) -> float:
        """The paper's: that a suspect which guesses among the classes repeats so many, or more (binomial)."""
        return self.repeated.p_value(1 / self.classes)

    @property
    def p_value(self) -> float:
        """The larger one of two p-values, since a clean suspect may be of either kind.

        One that guesses repeats one in K. One that makes many mistakes on these images makes them under other keys
        too (Fisher's exact test against the control).
        """
        return max(self.p_value_of_guessing, exceeds(self.repeated, self.control.of_answered))

    @property
    def is_stolen(self) -> bool:
        """Whether more are repeated than `fewest`, with a p-value smaller than alpha."""
        return self.repeated.value > self.fewest and self.p_value < self.alpha

    @property
    def verdict(self) -> str:
        """One of two, in words."""
        return "repeats the client's altered answers" if self.is_stolen else "no proof by altered answers"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "verdict": self.verdict,
            "is_stolen": self.is_stolen,
            "repeated": self.repeated.to_dict(),
            "control": self.control.to_dict(),
            "classes": self.classes,
            "fewest": self.fewest,
            "p_value": self.p_value,
            "p_value_of_guessing": self.p_value_of_guessing,
            "alpha": self.alpha,
            "queries": self.queries,
            "suspect": self.suspect,
        }

    def __str__(self) -> str:
        lines = [
            f"Verdict: {self.verdict}",
            "Altered answers that the suspect gives too:",
            f"  of the client's key {self.repeated} of {self.repeated.trials} (95 % interval)",
            f"  of other keys       {self.control} of {self.control.trials}",
            f"p-value: {p_value_shown(self.p_value)} (alpha {self.alpha:g}), "
            f"by guessing {p_value_shown(self.p_value_of_guessing)}",
            f"Queries asked: {self.queries:,}",
            *suspect_lines(self.suspect),
        ]
        return "\n".join(lines)

    __repr__ = __str__


def verify_altered(
    suspect: Callable[[Tensor], Tensor],
    api: DAWN,
    queries: Tensor,
    classes: Sequence[str],
    *,
    other_keys: Sequence[str],
    fewest: float = 0.5,
    alpha: float = 0.01,
) -> AlteredEvidence:
    """Ask a suspect again what one API client was told wrongly.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers, of which only the largest counts; a row with NaN is no
            answer, and no repetition. Its `remaining`, `cost` and `describe()` are used where it has them.
        api: the one that was sold to the client, with its key.
        queries: (M, C, H, W) uint8, that client's, from the API's log.
        classes: the names of the model's classes.
        other_keys: drawn before, one or more, of 32 characters or more: what they would have altered is the control.
        fewest: rate of repetition that must be exceeded; the paper's tolerance e = 0.5 gives 0.5.
        alpha: level of the test.

    Returns:
        the evidence; print it, or `save` it.

    Raises:
        ValueError: for no other key, the API's own among them, a rate or an alpha that decides nothing, or queries
            of which none was altered, under the API's key or under the others.
        BudgetSpent: when the suspect's budget does not cover all images; then no query is sent.

    Source: Szyller et al. (ACM Multimedia 2021): VERIFY holds where L(T, F', B) < e, and a model that guesses gets there
    with the binomial probability of at most e·|T| misses at (K−1)/K. The control is this package's: a clean model does
    not guess, and one with many mistakes of its own guesses better than 1 in K.
    """
    check_decides("fewest", fewest)
    check_decides("alpha", alpha)
    if not other_keys:
        raise ValueError(
            "pass at least one other key, or nothing says how many mistakes are the suspect's own"
        )
    if any(map(api.has_key, other_keys)):
        raise ValueError("the API's own key is among the other keys, which are to say what it did not alter")
    told = api.altered(queries)
    others = [api.with_key(key).altered(queries) for key in other_keys]
    never_told = AlteredAnswers(*map(torch.cat, zip(*others, strict=True)))
    if not len(told.images) or not len(never_told.images):
        raise ValueError(
            f"of {len(queries)} queries the API alters {len(told.images)} and the other keys {len(never_told.images)}; "
            "pass more queries or other keys, or sell an API with a larger rate"
        )
    suspect = at_the_door(suspect, classes)
    every = (told.images, never_told.images)
    sent = sum(map(len, every))
    check_budget(suspect, sent, lambda: every, "a verdict by altered answers", "pass fewer queries")
    return AlteredEvidence(
        repeated=target_rate(suspect, told.images, told.labels),
        control=target_rate(suspect, never_told.images, never_told.labels),
        classes=len(classes),
        fewest=fewest,
        alpha=alpha,
        queries=sent,
        suspect=suspect.describe() or None,
    )
