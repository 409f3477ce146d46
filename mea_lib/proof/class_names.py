"""Answers in the order of the data set's classes: by name where the suspect names them, else as they come."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mea_lib.blackbox import Suspect, as_suspect, in_order
from mea_lib.blackbox.answers import NO_NUMBERS
from mea_lib.blackbox.in_order import InOrder
from mea_lib.blackbox.named_class import most_probable
from mea_lib.blackbox.suspect import AnotherLog, UnusableAnswer

_WHOLE_QUERY = 2**31  # a function is given all images of a query, as it would be without an adapter

_NUMBERED = re.compile(r"(?:class|label)?[ _-]?(\d+)", re.IGNORECASE)


@dataclass(frozen=True)
class Answers:
    """What a suspect said to N images, in the data set's order of classes.

    Attributes:
        values: (N, K) float32, a row with NaN is no answer; None where nothing can be made of them.
        sent: N.
        width: how many numbers an answer has.
        note: what was done to them, or None.
        problem: why nothing can be made of them, or None.
        first_failure: the first reason for an image without an answer, where the suspect says it.
    """

    values: Tensor | None
    sent: int
    width: int | None = None
    note: str | None = None
    problem: str | None = None
    first_failure: str | None = None


def answers_of(suspect: Suspect, images: Tensor, classes: Sequence[str]) -> Answers:
    """Query a suspect, and bring its answers into the order of these classes.

    Args:
        suspect: as `at_the_door` made it.
        images: (N, C, H, W) uint8.
        classes: K names in the data set's order.
    """
    sent, wanted = len(images), len(classes)
    names = named_classes(suspect, classes)
    if names is not None and tuple(names) != tuple(classes):
        return Answers(None, sent, problem=_other_names(names, classes))
    try:
        values = suspect(images).float()
    except AnotherLog:
        raise
    except UnusableAnswer as error:
        if error.reason != NO_NUMBERS:
            return Answers(None, sent, problem=str(error))
        silence = torch.full((sent, wanted), torch.nan)
        return Answers(silence, sent, first_failure=_first_failure(suspect) or str(error))
    except ValueError as error:
        return Answers(None, sent, problem=f"the suspect's answers cannot be used: {error}")
    if values.ndim != 2 or len(values) != sent:
        shape = tuple(values.shape)
        return Answers(None, sent, problem=f"the suspect answered {sent} images with the shape {shape}")
    width = values.shape[1]
    if values.isnan().all():
        return Answers(values, sent, width, None, None, _first_failure(suspect))
    if width != wanted:
        return Answers(None, sent, width, problem=_other_width(values, width, wanted))
    note = None
    if isinstance(suspect, InOrder):
        first = suspect.suspect.classes[0]
        note = f"brought into the data set's order of classes by name (the suspect begins with {first})"
    return Answers(values, sent, width, note, None, _first_failure(suspect))


def at_the_door(suspect: object, classes: Sequence[str]) -> Suspect:
    """Whatever answers queries, with its answers in the order of these classes where it names them.

    One that names other classes is handed on with the names it has, for `answers_of` to refuse.

    Args:
        suspect: a `Suspect` as it is; else what `as_suspect` takes without further settings. Where it has them, its
            `classes`, `remaining`, `cost`, `failures` and `describe()` stay what they are.
        classes: K names in the data set's order.

    Raises:
        TypeError: for something that cannot be queried.
        ValueError, ImportError: for a file that cannot be, as `as_suspect`.
    """
    if not isinstance(suspect, Suspect):
        in_batches = isinstance(suspect, nn.Module | str | Path)
        suspect = as_suspect(suspect, batch_size=None if in_batches else _WHOLE_QUERY)
    names = named_classes(suspect, classes)
    return in_order(suspect, classes) if names and sorted(names) == sorted(classes) else suspect


def named_classes(suspect: Suspect, classes: Sequence[str]) -> tuple[str, ...] | None:
    """The names a suspect gives to its classes; None where it has none, or mere numbers of classes that have names."""
    names = tuple(unicodedata.normalize("NFC", name) for name in suspect.classes or ())
    is_numbered = all(_NUMBERED.fullmatch(name) for name in names)
    return None if not names or (is_numbered and set(names) != set(classes)) else names


def _first_failure(suspect: Suspect) -> str | None:
    return next((reason for reason, images in suspect.failures.items() if images), None)


def _other_names(names: Sequence[str], classes: Sequence[str]) -> str:
    strange = [name for name in names if name not in classes]
    lacking = [name for name in classes if name not in names]
    parts = [
        f"{what} {', '.join(listed[:3])}{', …' if len(listed) > 3 else ''}"
        for what, listed in (("it has", strange), ("it lacks", lacking))
        if listed
    ]
    return f"the suspect's {len(names)} classes are not the data set's {len(classes)}: {'; '.join(parts)}"


def _other_width(values: Tensor, width: int, wanted: int) -> str:
    problem = f"the suspect answers {width} numbers, but the data set has {wanted} classes"
    if width == wanted + 1:
        first = int((most_probable(values) == 0).sum())
        problem += "; its classes seem to be numbered from 1" if first == 0 else ""
    return problem
