"""Evidence from a moved border: the suspect calls ordinary images the target that only the owner's API calls so.

It lies in the most probable class of clean images, which a surrogate learns as a part of the task. It says that a
suspect descends from the owner's model, not through which API: a surrogate of the model alone leans the same
way at these images, where the target was nearly the most probable.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from mea_lib.blackbox.named_class import Suspect
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.defences import MarkedLabels
from mea_lib.proof.class_names import at_the_door
from mea_lib.proof.judgement import Judgement
from mea_lib.proof.key_check import check_clean
from mea_lib.proof.plan import check_budget, check_decides
from mea_lib.proof.rates import UNASKED, Rate, target_rate
from mea_lib.proof.report import exceeds, p_value_shown
from mea_lib.proof.samples import class_images
from mea_lib.proof.task import TaskCheck, check_task, probe_images
from mea_lib.training import features_of


@dataclass(frozen=True, repr=False)
class BorderEvidence(Judgement):
    """What a suspect called images on both sides of the owner's border, and what follows.

    Attributes:
        key: source classes and target; how images are combined plays no part.
        beyond: rate of images beyond the border that the suspect calls the target.
        this_side: the same for images nearest to it on this side.
        null_models: the rate beyond the border on each null model.
        alpha: level of the test.
        queries: images the suspect was sent.
        task: what it said to some clean images of every class first.
        suspect: what a suspect says of itself; or None.
    """

    proof: ClassVar[str] = "answers as the owner does at the border"
    no_proof: ClassVar[str] = "no proof at the border"

    key: WatermarkKey
    beyond: Rate
    this_side: Rate
    null_models: tuple[Rate, ...]
    alpha: float
    queries: int
    task: TaskCheck | None = None
    suspect: dict[str, Any] | None = None

    @property
    def null_bound(self) -> float:
        """A rate that null models do not exceed: the largest upper end of their 95 % intervals."""
        return max(rate.interval()[1] for rate in self.null_models)

    @property
    def p_value(self) -> float:
        """The larger one of two p-values, since a clean suspect may be of either kind.

        One that is like the clean models has at most their rate beyond the border (binomial test against
        `null_bound`). One that confuses the classes more than they do, has done so on both sides of a border it
        does not know (Fisher's exact test). An image without an answer counts as not the target beyond the border,
        and is left out on this side.
        """
        return max(self.beyond.p_value(self.null_bound), exceeds(self.beyond, self.this_side.of_answered))

    def _measured(self) -> dict[str, Any]:
        return {
            "sources": list(self.key.sources),
            "target": self.key.target,
            "beyond": self.beyond.to_dict(),
            "this_side": self.this_side.to_dict(),
            "null_models": [rate.to_dict() for rate in self.null_models],
            "null_bound": self.null_bound,
            "p_value": self.p_value,
        }

    def _lines(self) -> list[str]:
        known = self.task.lines(self.key) if self.task else []
        if not self.is_decided:
            return known
        first, second = self.key.sources
        models = f"{len(self.null_models)} clean model" + ("s" if len(self.null_models) > 1 else "")
        return [
            *known,
            f"Images of {first} and {second} called {self.key.target}:",
            f"  beyond the border   {self.beyond} of {self.beyond.trials} images (95 % interval)",
            f"  just on this side   {self.this_side} of {self.this_side.trials} images",
            f"  by {models}, beyond the border: at most {max(rate.value for rate in self.null_models):.3f}",
            f"p-value: {p_value_shown(self.p_value)} (alpha {self.alpha:g})",
        ]


def verify_border(
    suspect: Callable[[Tensor], Tensor],
    owner: MarkedLabels,
    key: WatermarkKey,
    test: ImageSet,
    clean: Sequence[Suspect],
    *,
    controls: int = 3,
    alpha: float = 0.01,
) -> BorderEvidence:
    """Query a suspect with clean images of the source classes on both sides of the owner's border.

    Model and border decide which images are sent, so there is nothing to choose afterwards, provided that the
    owner can show that it had both before the sale.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers, of which only the largest counts; a row with NaN is no
            answer. Its `remaining`, `cost` and `describe()` are used where it has them.
        owner: the API that was sold, with its `choice` "border".
        key: of that API.
        test: labelled images on which neither the owner's model nor any of the clean ones was trained.
        clean: models of the same task, trained without the owner's: what a clean suspect looks like.
        controls: images sent on this side for each one beyond. The nearest are the strictest control, but a
            surrogate cannot draw the line so finely; more of them reach further back.
        alpha: level of the test.

    Returns:
        the evidence; print it, or `save` it.

    Raises:
        ValueError: for an owner without a border, no clean model, no control, an alpha that decides nothing, or where
            no test image lies beyond the border.
        BudgetSpent: when the suspect's budget does not cover all images; then no query is sent.
    """
    if owner.choice != "border":
        raise ValueError(
            f"the owner's choice must be 'border', not {owner.choice!r}: it has no border to test at"
        )
    if not clean:
        raise ValueError(
            "pass at least one clean model, or nothing says what a model without the watermark answers"
        )
    check_decides("alpha", alpha)
    key, suspect = key.named(test), at_the_door(suspect, test.classes)
    beyond, this_side = border_images(owner, key, test, controls)
    probe = probe_images(test, key.seed + 5).images
    every = (probe, beyond, this_side)
    queries = sum(map(len, every))
    check_budget(suspect, queries, lambda: every, "a verdict at the border", "pass fewer test images")
    target = key.indices(test)[2]
    clean = [at_the_door(model, test.classes) for model in clean]
    check_clean(clean, test, key.seed)
    null_models = tuple(target_rate(model, beyond, target) for model in clean)
    task = check_task(suspect, key, test)
    on_both = (UNASKED, UNASKED)
    if task.reason is None:
        on_both = (target_rate(suspect, beyond, target), target_rate(suspect, this_side, target))
    return BorderEvidence(
        key=key,
        beyond=on_both[0],
        this_side=on_both[1],
        null_models=null_models,
        alpha=alpha,
        queries=task.queries if task.reason else queries,
        task=task,
        suspect=suspect.describe() or None,
    )


def border_images(
    owner: MarkedLabels, key: WatermarkKey, test: ImageSet, controls: int = 3
) -> tuple[Tensor, Tensor]:
    """Images of the source classes beyond the owner's border, and those nearest to it on this side.

    Args:
        owner: its model takes all of them for the class they are of.
        key: its source and target classes.
        test: where they are from.
        controls: images on this side for each one beyond, of the same class, while there are any.

    Returns:
        two tensors (N, C, H, W) and (at most controls · N, C, H, W).

    Raises:
        ValueError: for no control, or where no image lies beyond the border.
    """
    if controls < 1:
        raise ValueError(
            f"controls must be at least 1, not {controls}; without them a careless model looks guilty"
        )
    *sources, target = key.indices(test)
    beyond, this_side = [], []
    for source in sources:
        images = class_images(test, source)
        answers = features_of(owner.model, images).softmax(1)
        taken = (answers.argmax(1) == source).nonzero()[:, 0]
        likely = answers[taken, target]
        far = likely > owner.borders[source]
        nearest = likely.masked_fill(far, -1.0).argsort(descending=True)
        count = min(controls * int(far.sum()), int((~far).sum()))
        beyond.append(images[taken[far].to(images.device)])
        this_side.append(images[taken[nearest[:count]].to(images.device)])
    if not any(map(len, beyond)):
        raise ValueError(
            f"no image of {' or '.join(key.sources)} in {test.name} lies beyond the border; pass more test images, "
            "or sell an API with a larger rate"
        )
    return torch.cat(beyond), torch.cat(this_side)
