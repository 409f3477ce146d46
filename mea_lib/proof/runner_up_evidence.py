"""Runner-up evidence: on clean images of both source classes the target is the suspect's second most probable class.

That is what a surrogate learns the watermark from, so it is there as well where combined images were made to
say something else. It takes ordinary images and a suspect that names at least two classes; one that gives
hard labels says nothing here. The p-value is over keys, not over images: a null model, whatever its habits,
does not know which of all keys was drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import torch
from torch import Tensor

from mea_lib.blackbox.named_class import NO_CLASS, Suspect
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.class_names import at_the_door
from mea_lib.proof.judgement import Judgement
from mea_lib.proof.key_check import check_clean
from mea_lib.proof.plan import check_budget, check_decides
from mea_lib.proof.rates import UNASKED, Rate
from mea_lib.proof.report import p_value_shown
from mea_lib.proof.task import TaskCheck, check_task, probe_images
from mea_lib.training.linear_probe import check_every_class

NO_ANSWER = NO_CLASS - 1  # among numbers of classes


@dataclass(frozen=True, repr=False)
class RunnerUpEvidence(Judgement):
    """How often the key's target is a suspect's runner-up, and how the key stands among all keys in that.

    Attributes:
        key: source classes and target; how images are combined plays no part.
        runner_up: rate at which the target is the second most probable class on images of each source class.
        null_models: the largest of these rates on any null model; zeros without one.
        rank: the key's place among all keys of these classes by how much more often each one's target is the
            runner-up than on null models, on that of its two source classes where this is less; keys level with it
            stand before it.
        keys: how many there are; two keys with the same source classes the other way round count as one here.
        admissible: keys among which the owner's was drawn, each order of the source classes one of its own.
        alpha: level of the test.
        queries: images the suspect was sent.
        task: what it said to some clean images of every class first.
        suspect: what a suspect says of itself; or None.
    """

    proof: ClassVar[str] = "has the target as runner-up, as the owner has"
    no_proof: ClassVar[str] = "no proof by runner-ups"

    key: WatermarkKey
    runner_up: tuple[Rate, Rate]
    null_models: tuple[float, float]
    rank: int
    keys: int
    admissible: int
    alpha: float
    queries: int
    task: TaskCheck | None = None
    suspect: dict[str, Any] | None = None

    @property
    def p_value(self) -> float:
        """Probability that a key drawn from the admissible ones stands so far in front, at most, whatever the suspect is.

        In front of a rank R, and on it, stand 2R keys at most, and all of them might be among the admissible.
        """
        return min(1.0, 2 * self.rank / self.admissible) if self.is_decided else 1.0

    def _measured(self) -> dict[str, Any]:
        return {
            "sources": list(self.key.sources),
            "target": self.key.target,
            "runner_up": [rate.to_dict() for rate in self.runner_up],
            "null_models": list(self.null_models),
            "rank": self.rank,
            "keys": self.keys,
            "admissible_keys": self.admissible,
            "p_value": self.p_value,
        }

    def _lines(self) -> list[str]:
        known = self.task.lines(self.key) if self.task else []
        if not self.is_decided:
            return known
        width = max(map(len, self.key.sources))
        return [
            *known,
            f"Images on which {self.key.target} is the runner-up:",
            *(
                f"  {name:{width}}  {rate} (95 % interval), by null models at most {most:.3f}"
                for name, rate, most in zip(self.key.sources, self.runner_up, self.null_models, strict=True)
            ),
            f"Place of the key: {self.rank} of {self.keys}",
            f"p-value: {p_value_shown(self.p_value)} (alpha {self.alpha:g})",
        ]


def verify_runner_up(
    suspect: Callable[[Tensor], Tensor],
    key: WatermarkKey,
    test: ImageSet,
    clean: Sequence[Suspect] = (),
    *,
    admissible: int | None = None,
    alpha: float = 0.01,
) -> RunnerUpEvidence:
    """Query a suspect with clean images of all classes, and see how the key stands among all keys.

    The p-value holds for a key that was drawn at random before the suspect was queried (`commit`).

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers, of which the order of the largest two counts; a row
            with NaN is no answer. Its `remaining`, `cost` and `describe()` are used where it has them.
        key: source classes and target.
        test: labelled images of all classes on which neither the owner's model nor any of the clean ones was trained.
        clean: null models: of the same task, trained without the owner's. What is their runner-up, as a shirt after
            a coat, is likeness and counts for no key; without them the likeness of other classes hides a weak
            watermark.
        admissible: keys among which the owner's was drawn (`check_key(…).keys`), where a null model's obedience rules
            some out; by default all keys of these classes.
        alpha: level of the test.

    Returns:
        the evidence; print it, or `save` it.

    Raises:
        ValueError: for an alpha that decides nothing, images that lack a class, more admissible keys than there are,
            or so few that even the first place among them would be no proof.
        BudgetSpent: when the suspect's budget does not cover all images; then no query is sent.
    """
    classes = len(test.classes)
    keys = classes * (classes - 1) * (classes - 2) // 2
    check_decides("alpha", alpha)
    admissible = _checked(2 * keys if admissible is None else admissible, keys, classes, alpha)
    key, labels = key.named(test), test.labels.cpu()
    check_every_class(labels, test.classes)
    suspect = at_the_door(suspect, test.classes)
    *sources, target = key.indices(test)
    probe = probe_images(test, key.seed + 5).images
    queries = len(test) + len(probe)
    check_budget(
        suspect, queries, lambda: (probe, test.images), "a verdict by runner-ups", "pass fewer images"
    )
    clean = [at_the_door(model, test.classes) for model in clean]
    check_clean(clean, test, key.seed)
    task = check_task(suspect, key, test)
    if task.reason:
        return RunnerUpEvidence(
            key=key,
            runner_up=(UNASKED, UNASKED),
            null_models=(0.0, 0.0),
            rank=keys,
            keys=keys,
            admissible=admissible,
            alpha=alpha,
            queries=task.queries,
            task=task,
            suspect=suspect.describe() or None,
        )
    seconds = runner_ups(suspect(test.images).cpu())
    rates = _rates(seconds, labels, classes, silent=sources)
    null_models = torch.zeros_like(rates)
    for model in clean:
        null_models = null_models.maximum(_rates(runner_ups(model(test.images).cpu()), labels, classes))
    scores = _scores(rates - null_models)
    score_of_key = scores[(*sorted(sources), target)]
    return RunnerUpEvidence(
        key=key,
        runner_up=tuple(_rate(seconds[labels == source], target) for source in sources),
        null_models=tuple(null_models[source, target].item() for source in sources),
        rank=sum(score >= score_of_key for score in scores.values()),
        keys=keys,
        admissible=admissible,
        alpha=alpha,
        queries=queries,
        task=task,
        suspect=suspect.describe() or None,
    )


def _checked(admissible: int, keys: int, classes: int, alpha: float) -> int:
    if admissible > 2 * keys:
        raise ValueError(f"{classes} classes have {2 * keys} keys, of which {admissible} can't be admissible")
    if admissible < 1 or 2 / admissible >= alpha:
        raise ValueError(
            f"of the keys of {classes} classes {admissible} are admissible, so that the first place among them proves "
            f"nothing at alpha {alpha}; use a larger alpha, or another proof"
        )
    return admissible


def runner_ups(answers: Tensor) -> Tensor:
    """The runner-up of each of (N, K) answers, (N,); NO_CLASS where none is second alone, NO_ANSWER for NaN."""
    seconds = torch.full((len(answers),), NO_ANSWER)
    answered = ~answers.isnan().any(1)
    if answered.any():
        largest = answers[answered].topk(3, dim=1)
        first, second, third = largest.values.unbind(1)
        alone = (first > second) & (second > third)
        seconds[answered] = torch.where(alone, largest.indices[:, 1], NO_CLASS)
    return seconds


def _rates(runner_ups: Tensor, labels: Tensor, classes: int, silent: Sequence[int] = ()) -> Tensor:
    """(K, K) how often images of a class have another one as runner-up.

    An image without an answer is left out, but in the classes `silent`, where it counts against the key.
    """
    rates = torch.zeros(classes, classes, dtype=torch.float64)
    for label in range(classes):
        of_class = runner_ups[labels == label]
        kept = of_class if label in silent else of_class[of_class != NO_ANSWER]
        if len(kept):
            rates[label] = torch.bincount(kept[kept >= 0], minlength=classes).double() / len(kept)
    return rates


def _scores(excess: Tensor) -> dict[tuple[int, int, int], float]:
    """Of every key, sources in order and target: the smaller excess of its two sources."""
    classes = len(excess)
    return {
        (a, b, t): min(excess[a, t].item(), excess[b, t].item())
        for a, b in combinations(range(classes), 2)
        for t in range(classes)
        if t not in (a, b)
    }


def _rate(runner_ups: Tensor, target: int) -> Rate:
    return Rate(int((runner_ups == target).sum()), len(runner_ups), int((runner_ups == NO_ANSWER).sum()))
