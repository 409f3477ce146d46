"""The Anna Karenina heuristic (AKH): models are right alike, but each is wrong in its own way. No watermark needed.

The owner queries with images that their own model gets wrong, and counts how often the suspect names the same wrong
class. A surrogate learns the errors as a part of the task. Clean models make some of them too, since a shirt looks like
a T-shirt to everybody, so the count says nothing without a null distribution over clean models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from mea_lib.blackbox.named_class import Suspect
from mea_lib.data import ImageSet
from mea_lib.proof.class_names import at_the_door
from mea_lib.proof.error_queries import error_queries
from mea_lib.proof.judgement import Judgement
from mea_lib.proof.key_check import check_clean
from mea_lib.proof.null_models import check_null_models, predictive_p_value_of_rate, rank_p_value
from mea_lib.proof.plan import check_budget, check_decides
from mea_lib.proof.rates import UNASKED, Rate, target_rate
from mea_lib.proof.report import p_value_shown
from mea_lib.proof.task import TaskCheck, check_task, probe_images
from mea_lib.proof.without_key import any_three_classes


@dataclass(frozen=True, repr=False)
class ErrorFingerprint(Judgement):
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

    proof: ClassVar[str] = "makes the owner's errors"
    no_proof: ClassVar[str] = "no proof by errors"

    agreement: Rate
    null_models: tuple[Rate, ...]
    natural: int
    alpha: float
    queries: int
    task: TaskCheck | None = None
    suspect: dict[str, Any] | None = None

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

    def _measured(self) -> dict[str, Any]:
        return {
            "agreement": self.agreement.to_dict(),
            "null_models": [rate.to_dict() for rate in self.null_models],
            "natural": self.natural,
            "p_value": self.p_value,
            "rank_p_value": self.rank_p_value,
        }

    def _lines(self) -> list[str]:
        if not self.is_decided:
            return []
        rates = [rate.value for rate in self.null_models]
        return [
            f"Images that the owner's model gets wrong: {self.agreement.trials} ({self.natural} as they are, the "
            "others mixes of these)",
            f"  the suspect names the same wrong class   {self.agreement} (95 % interval)",
            f"  {len(rates)} clean models name it            from {min(rates):.3f} to {max(rates):.3f}",
            f"p-value: {p_value_shown(self.p_value)} (alpha {self.alpha:g}); by rank alone {self.rank_p_value:.2g}",
        ]


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
    null_models = tuple(target_rate(model, errors.images, errors.answers) for model in clean)
    task = check_task(suspect, three, test)
    return ErrorFingerprint(
        agreement=UNASKED if task.reason else target_rate(suspect, errors.images, errors.answers),
        null_models=null_models,
        natural=errors.natural,
        alpha=alpha,
        queries=task.queries if task.reason else queries,
        task=task,
        suspect=suspect.describe() or None,
    )
