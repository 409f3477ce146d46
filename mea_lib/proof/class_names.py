"""Answers in the order of the data set's classes: by name where the suspect names them, else as they come."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.blackbox.named_class import Suspect, most_probable

_NUMBERED = re.compile(r"(?:class|label)?[ _-]?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Answers:
    """What a suspect said to N images, in the data set's order of classes.

    Attributes:
        values: (N, K) float32, a row with NaN is no answer; None where nothing can be made of them.
        asked: N.
        width: how many numbers an answer has.
        note: what was done to them, or None.
        problem: why nothing can be made of them, or None.
        first_failure: the first reason for an image without an answer, where the suspect says it.
    """

    values: Tensor | None
    asked: int
    width: int | None = None
    note: str | None = None
    problem: str | None = None
    first_failure: str | None = None


def answers_of(suspect: Suspect, images: Tensor, classes: Sequence[str]) -> Answers:
    """Ask a suspect, and bring its answers into the order of these classes.

    Args:
        suspect: its `classes`, where it has them, are the names it gives to the columns of its answers.
        images: (N, C, H, W) uint8.
        classes: K names in the data set's order.
    """
    asked, wanted = len(images), len(classes)
    names = named_classes(suspect, classes)
    if names is not None and sorted(names) != sorted(classes):
        return Answers(None, asked, problem=_other_names(names, classes))
    try:
        values = torch.as_tensor(suspect(images)).float()
    except ValueError as error:
        return Answers(None, asked, problem=f"the suspect's answers cannot be used: {error}")
    failures = dict(getattr(suspect, "failures", None) or {})
    first_failure = next((reason for reason, images in failures.items() if images), None)
    if values.ndim != 2 or len(values) != asked:
        shape = tuple(values.shape)
        return Answers(None, asked, problem=f"the suspect answered {asked} images with the shape {shape}")
    width = values.shape[1]
    if values.isnan().all():
        return Answers(values, asked, width, None, None, first_failure)
    if width != wanted:
        return Answers(None, asked, width, problem=_other_width(values, width, wanted))
    if names is None or tuple(names) == tuple(classes):
        return Answers(values, asked, width, None, None, first_failure)
    order = torch.tensor([names.index(name) for name in classes], device=values.device)
    note = f"brought into the data set's order of classes by name (the suspect begins with {names[0]})"
    return Answers(values[:, order], asked, width, note, None, first_failure)


class ByName:
    """A suspect whose answers are in the data set's order of classes; the rest of it is as it was."""

    def __init__(self, suspect: Suspect, classes: Sequence[str]) -> None:
        self._suspect, self._classes = suspect, tuple(classes)

    def __call__(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → (N, K); rows of NaN where nothing can be made of the answers."""
        found = answers_of(self._suspect, images, self._classes)
        if found.values is not None and found.values.shape[1] == len(self._classes):
            return found.values
        return torch.full((len(images), len(self._classes)), torch.nan, device=images.device)

    def __getattr__(self, name: str) -> object:
        return getattr(self._suspect, name)


def named_classes(suspect: Suspect, classes: Sequence[str]) -> tuple[str, ...] | None:
    """The names a suspect gives to its classes; None where it has none, or mere numbers of classes that have names."""
    given = getattr(suspect, "classes", None)
    if isinstance(given, str | bytes) or not isinstance(given, Sequence):
        return None
    names = tuple(unicodedata.normalize("NFC", str(name)) for name in given)
    is_numbered = all(_NUMBERED.fullmatch(name) for name in names)
    return None if not names or (is_numbered and set(names) != set(classes)) else names


def _other_names(names: Sequence[str], classes: Sequence[str]) -> str:
    strange = [name for name in names if name not in classes]
    lacking = [name for name in classes if name not in names]
    parts = [
        f"{what} {', '.join(found[:3])}{', …' if len(found) > 3 else ''}"
        for what, found in (("it has", strange), ("it lacks", lacking))
        if found
    ]
    return f"the suspect's {len(names)} classes are not the data set's {len(classes)}: {'; '.join(parts)}"


def _other_width(values: Tensor, width: int, wanted: int) -> str:
    problem = f"the suspect answers {width} numbers, but the data set has {wanted} classes"
    if width == wanted + 1:
        first = int((most_probable(values) == 0).sum())
        problem += "; its classes seem to be numbered from 1" if first == 0 else ""
    return problem
