"""Does the suspect know the task? It is sent clean images of every class before anything else."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from mea_lib.blackbox.named_class import NO_CLASS, Suspect, most_probable
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.proof.class_names import Answers, answers_of
from mea_lib.proof.rates import Rate
from mea_lib.proof.samples import class_images

EACH = 20  # clean images of a class
NEARLY_ALL = 0.8
_LIKELY = (
    "likely reasons: another task, another order of classes, numbering from 1, another range of pixels, "
    "normalisation or order of channels"
)
# How a suspect may have to be queried instead, and what that says.
_RETRIES: dict[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "inverted": ("black and white exchanged", lambda images: 255 - images),
    "0 to 1": ("pixels from 0 to 1 instead of 0 to 255", lambda images: (images > 127).to(torch.uint8)),
    "BGR": ("red and blue exchanged", lambda images: images.flip(1)),
    "turned": ("rows and columns exchanged", lambda images: images.transpose(2, 3).contiguous()),
}


@dataclass(frozen=True)
class TaskCheck:
    """How a suspect did on clean images, by class.

    Attributes:
        overall: images that get their own class; one without an answer counts as wrong.
        sources, target: the same for the key's classes.
        level: share of all that must be right.
        queries: images sent, those of a search for reasons among them.
        note: what was done to the answers, such as their order by name; or None.
        reason: why the suspect does not know the task, or None where it does.
        width: how many numbers an answer has; None where none came.
    """

    overall: Rate
    sources: tuple[Rate, Rate]
    target: Rate
    level: float
    queries: int
    note: str | None = None
    reason: str | None = None
    width: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "accuracy": self.overall.to_dict(),
            "sources": [rate.to_dict() for rate in self.sources],
            "target": self.target.to_dict(),
            "level": self.level,
            "queries": self.queries,
            "note": self.note,
            "reason": self.reason,
        }

    def lines(self, key: WatermarkKey) -> list[str]:
        """For a reader."""
        rates = zip((*key.sources, key.target), (*self.sources, self.target), strict=True)
        by_class = ", ".join(f"{name} {rate.value:.2f}" for name, rate in rates)
        lines = [
            f"Clean images recognised: {self.overall.value:.3f} of {self.overall.trials} "
            f"(at least {self.level:.2f} needed)",
            f"  of the key's classes: {by_class}",
        ]
        return lines + ([f"Answers: {self.note}"] if self.note else [])


def needed_accuracy(classes: int) -> float:
    """Half way from guessing to perfection: 0.55 of ten classes, 0.67 of three, just above a half of a thousand.

    Two classes exchanged cost a perfect model of ten a fifth, any other permutation or shift more than what a
    working model is likely to lose; a surrogate that its adversary would want to sell has far more.
    """
    return (1 + 1 / classes) / 2


def probe_images(test: ImageSet, seed: int, each: int = EACH) -> ImageSet:
    """At most `each` different images of every class, drawn by a seed; the classes take turns.

    So the first few, by which it is seen whether a suspect can be queried at all, are not of one class.
    """
    generator = torch.Generator().manual_seed(seed)
    images, labels = [], []
    for label in range(len(test.classes)):
        every = class_images(test, label)
        chosen = torch.randperm(len(every), generator=generator)[:each]
        images.append(every[chosen.to(every.device)])
        labels += [label] * len(chosen)
    labels = torch.tensor(labels)
    turns = _turns(labels).argsort(stable=True)
    images = torch.cat(images)
    return ImageSet(images[turns.to(images.device)], labels[turns], test.classes, test.name)


def check_task(suspect: Suspect, key: WatermarkKey, test: ImageSet) -> TaskCheck:
    """Send clean images of every class, and where they are not recognised, look for a reason.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers.
        key: its seed draws the images; its classes are counted apart.
        test: labelled images of all classes on which nothing was trained.

    Returns:
        the counts, with a `reason` where the suspect does not know the task.
    """
    probe = probe_images(test, key.seed + 5)
    answers = answers_of(suspect, probe.images, test.classes)
    called = _called(answers)
    named = key.indices(test)
    check = TaskCheck(
        overall=_rate(called, probe.labels),
        sources=tuple(_rate(called[probe.labels == label], label) for label in named[:2]),
        target=_rate(called[probe.labels == named[2]], named[2]),
        level=needed_accuracy(len(test.classes)),
        queries=len(probe),
        note=answers.note,
        width=answers.width,
    )
    reason, more = _reason(suspect, answers, called, probe, check, key)
    return TaskCheck(**vars(check) | {"reason": reason, "queries": check.queries + more})


def _reason(
    suspect: Suspect, answers: Answers, called: Tensor, probe: ImageSet, check: TaskCheck, key: WatermarkKey
) -> tuple[str | None, int]:
    """Why the suspect does not know the task, None where it does; and how many images that took."""
    if answers.problem:
        return answers.problem, 0
    if check.overall.answered <= check.overall.trials / 2:
        return (
            f"only {check.overall.answered} of {check.overall.trials} clean images were answered"
            + (f" ({answers.first_failure})" if answers.first_failure else ""),
            0,
        )
    level, right = check.level, check.overall.of_answered.value
    if right >= level:
        return _unknown_class(check, key, 1 / len(probe.classes)), 0
    most, share = _most_named(called)
    short = f"the suspect recognises {right:.2f} of clean images"
    if share < NEARLY_ALL:
        other = explaining_permutation(called, probe.labels, len(probe.classes))
        if other is not None and other[1] >= level:
            return f"{short}, but {_permutation_shown(other[0], probe.classes, other[1])}", 0
    queries = 0
    for name, (what, change) in _RETRIES.items():
        unfit = (name == "BGR" and probe.channels != 3) or (
            name == "turned" and probe.images.shape[2] != probe.images.shape[3]
        )
        if unfit or (suspect.remaining is not None and suspect.remaining < len(probe)):
            continue
        queries += len(probe)
        again = _rate(_called(answers_of(suspect, change(probe.images), probe.classes)), probe.labels).value
        if again >= level:
            return f"{short}, but {again:.2f} with {what}: set that where the suspect is described", queries
    if share >= NEARLY_ALL:
        what = "no class at all" if most == NO_CLASS else f"nearly everything {probe.classes[most]}"
        return (
            f"the suspect calls {what}; it is collapsed, or was queried with the wrong range of pixels or normalisation",
            queries,
        )
    return f"{short}, below {level:.2f}; {_LIKELY}", queries


def explaining_permutation(called: Tensor, labels: Tensor, classes: int) -> tuple[list[int], float] | None:
    """The order of classes that explains the answers best, found on one half of the images and tested on the other.

    Args:
        called: (N,) classes named. labels: (N,) the true ones.
        classes: K.

    Returns:
        for each class what it is called instead, and the share of the second half that this explains; None where
        it is the order that was expected.
    """
    halves = _turns(labels) % 2 == 0
    known = (called >= 0) & (called < classes)
    counts = torch.bincount(
        labels[halves & known] * classes + called[halves & known], minlength=classes**2
    ).view(classes, classes)
    # A class that says nothing here keeps its neighbour's place, so that a shift is seen whole.
    instead = linear_sum_assignment(counts.numpy(), maximize=True)[1]
    if (instead == np.arange(classes)).all():
        return None
    rest = ~halves & known
    right = (torch.from_numpy(instead)[labels[rest]] == called[rest]).float()
    return instead.tolist(), float(right.mean()) if len(right) else 0.0


def _permutation_shown(instead: list[int], classes: tuple[str, ...], share: float) -> str:
    shift = [(new - old) % len(classes) for old, new in enumerate(instead)]
    most = max(set(shift), key=shift.count)
    if most in (1, len(classes) - 1) and shift.count(most) >= len(classes) - 1:
        how = "numbered from 1 instead of 0" if most == 1 else "moved down by one"
        return f"{share:.2f} when its classes are {how}: say so where the suspect is described"
    moved = [f"{classes[old]} is called {classes[new]}" for old, new in enumerate(instead) if old != new]
    more = f" and {len(moved) - 3} more" if len(moved) > 3 else ""
    return f"{share:.2f} with its classes in another order ({', '.join(moved[:3])}{more}): name its classes"


def _unknown_class(check: TaskCheck, key: WatermarkKey, guessing: float) -> str | None:
    for name, rate in zip((*key.sources, key.target), (*check.sources, check.target), strict=True):
        if not rate.value > guessing:
            return f"the suspect does not recognise {name}: {rate.successes} of {rate.trials} clean images"
    return None


def _most_named(called: Tensor) -> tuple[int, float]:
    values, counts = called[called != _UNANSWERED].unique(return_counts=True)
    place = int(counts.argmax())
    return int(values[place]), float(counts[place] / counts.sum())


_UNANSWERED = NO_CLASS - 1


def _turns(labels: Tensor) -> Tensor:
    """(N,) which image of its class each one is, counted from 0."""
    turns = torch.zeros_like(labels)
    for label in labels.unique():
        of_class = labels == label
        turns[of_class] = torch.arange(int(of_class.sum()))
    return turns


def _called(answers: Answers) -> Tensor:
    """(N,) classes on the CPU; _UNANSWERED where there is no answer."""
    if answers.values is None or answers.values.shape[1] < 2:
        return torch.full((answers.sent,), _UNANSWERED)
    silent = answers.values.isnan().any(1)
    return torch.where(silent, _UNANSWERED, most_probable(answers.values)).cpu()


def _rate(called: Tensor, labels: Tensor | int) -> Rate:
    return Rate(int((called == labels).sum()), len(called), int((called == _UNANSWERED).sum()))
