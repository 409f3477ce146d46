"""The Anna Karenina heuristic (AKH): models are right alike, but each is wrong in its own way. No watermark needed.

The owner queries with images that their own model gets wrong, and counts how often the suspect names the same wrong
class. A surrogate learns the errors as a part of the task. Clean models make some of them too, since a shirt looks like
a T-shirt to everybody, so the count says nothing without a null distribution over clean models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mea_lib.blackbox.named_class import Suspect, most_probable
from mea_lib.data import ImageSet
from mea_lib.proof.class_names import at_the_door
from mea_lib.proof.error_queries import ErrorQueries, error_queries
from mea_lib.proof.key_check import check_clean
from mea_lib.proof.null_models import check_null_models, predictive_p_value_of_rate, rank_p_value
from mea_lib.proof.plan import check_budget, check_decides
from mea_lib.proof.rates import UNASKED, Rate
from mea_lib.proof.report import Report, p_value_shown, suspect_lines
from mea_lib.proof.task import TaskCheck, check_task, probe_images
from mea_lib.proof.without_key import any_three_classes


@dataclass(frozen=True)
class ErrorFingerprint(Report):
    """How often a suspect makes the owner's errors, and how often clean models make them.

    Attributes:
        agreement: rate of the owner's errors at which the suspect names the same class: 1 less the Hamming distance of
            AKH. An image without an answer counts as another class.
        null_models: the same of each clean model.
        natural: how many of the images are as they were; the others are mixes.
        alpha: level of the test.
        queries: images the suspect was sent.
        task: what it said to some clean images of every class first.
        suspect: what a suspect says of itself; or None.
    """

    agreement: Rate
    null_models: tuple[Rate, ...]
    natural: int
    alpha: float
    queries: int
    task: TaskCheck | None = None
    suspect: dict[str, Any] | None = None

    @property
    def is_decided(self) -> bool:
        """Whether the suspect knows the task, without which there is no verdict."""
        return self.task is None or self.task.reason is None

    @property
    def p_value(self) -> float:
        """Probability of so much agreement or more on one more clean model (`predictive_p_value_of_rate`)."""
        return predictive_p_value_of_rate(self.agreement, self.null_models) if self.is_decided else 1.0

    @property
    def rank_p_value(self) -> float:
        """The same without an assumption on the distribution; it takes many null models to become small."""
        if not self.is_decided:
            return 1.0
        return rank_p_value(self.agreement.value, [rate.value for rate in self.null_models])

    @property
    def is_stolen(self) -> bool:
        """Whether the p-value is smaller than alpha."""
        return self.p_value < self.alpha

    @property
    def verdict(self) -> str:
        """One of three, in words."""
        if not self.is_decided:
            return f"no verdict: {self.task.reason}"
        return "makes the owner's errors" if self.is_stolen else "no proof by errors"

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "verdict": self.verdict,
            "is_stolen": self.is_stolen,
            "is_decided": self.is_decided,
            "task": self.task.to_dict() if self.task else None,
            "agreement": self.agreement.to_dict(),
            "null_models": [rate.to_dict() for rate in self.null_models],
            "natural": self.natural,
            "p_value": self.p_value,
            "rank_p_value": self.rank_p_value,
            "alpha": self.alpha,
            "queries": self.queries,
            "suspect": self.suspect,
        }

    def __str__(self) -> str:
        lines = [f"Verdict: {self.verdict}"]
        if self.is_decided:
            rates = [rate.value for rate in self.null_models]
            lines += [
                f"Images that the owner's model gets wrong: {self.agreement.trials} ({self.natural} as they are, the "
                "others mixes of these)",
                f"  the suspect names the same wrong class   {self.agreement} (95 % interval)",
                f"  {len(rates)} clean models name it            from {min(rates):.3f} to {max(rates):.3f}",
                f"p-value: {p_value_shown(self.p_value)} (alpha {self.alpha:g}); by rank alone {self.rank_p_value:.2g}",
            ]
        return "\n".join([*lines, f"Queries asked: {self.queries:,}", *suspect_lines(self.suspect)])

    __repr__ = __str__


def verify_errors(
    suspect: Callable[[Tensor], Tensor],
    victim: Suspect,
    test: ImageSet,
    clean: Sequence[Suspect],
    *,
    number: int = 100,
    seed: int = 0,
    alpha: float = 0.01,
) -> ErrorFingerprint:
    """Query a suspect with what the owner's model gets wrong, and see whether it is wrong in the same way.

    The verdict is only as good as the null models are like a clean suspect; so take some of as many kinds as there are.
    And mixes say less than images as they are: a surrogate that was queried with ordinary images has not learnt what
    its victim says to mixes. So take as many test images as there are, before mixes have to fill up.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers, of which only the largest counts; a row with NaN is no
            answer. Its `remaining`, `cost` and `describe()` are used where it has them.
        victim: the owner's model, or its API.
        test: labelled images on which neither the victim nor any of the clean models was trained.
        clean: null models: of the same task, trained without the victim; at least two.
        number: queries, see `error_queries`; the authors send 100.
        seed: draws them, so that there is nothing to choose afterwards.
        alpha: level of the test.

    Returns:
        the evidence; print it, or `save` it.

    Raises:
        ValueError: for fewer than two clean models, or some that do not know the task, an alpha that decides nothing,
            fewer than three classes, or too few errors to query with.
        BudgetSpent: when the suspect's budget does not cover all images; then no query is sent.

    Source: Godinot et al., Queries, Representation & Detection (AAAI 2025, arXiv 2412.13021): query by negative
    sampling, represent by hard labels, compare by Hamming distance. The paper reports true positives at a fixed rate of
    false ones and fixes no threshold; the p-value and its null distribution are ours.
    """
    check_decides("alpha", alpha)
    check_null_models(len(clean))
    three = any_three_classes(test, seed)
    suspect = at_the_door(suspect, test.classes)
    clean = [at_the_door(model, test.classes) for model in clean]
    errors = error_queries(at_the_door(victim, test.classes), test, number, seed=seed)
    probe = probe_images(test, three.seed + 5).images
    queries = len(probe) + len(errors)
    check_budget(suspect, queries, lambda: (probe, errors.images), "a verdict by errors", "send fewer images")
    check_clean(clean, test, three.seed)
    null_models = tuple(agreement(model, errors) for model in clean)
    task = check_task(suspect, three, test)
    return ErrorFingerprint(
        agreement=UNASKED if task.reason else agreement(suspect, errors),
        null_models=null_models,
        natural=errors.natural,
        alpha=alpha,
        queries=task.queries if task.reason else queries,
        task=task,
        suspect=suspect.describe() or None,
    )


def agreement(suspect: Suspect, errors: ErrorQueries) -> Rate:
    """How many of a model's errors a suspect makes too; a row with NaN is no answer."""
    answers = suspect(errors.images)
    unanswered = answers.isnan().any(1)
    same = (most_probable(answers).cpu() == errors.answers) & ~unanswered.cpu()
    return Rate(int(same.sum()), len(errors), int(unanswered.sum()))
