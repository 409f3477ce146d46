"""A suspect whose classes are put in another order, by their names."""

import unicodedata
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mea_lib.blackbox.passed_on import PassedOn
from mea_lib.blackbox.suspect import Suspect


class InOrder(PassedOn):
    """A suspect that answers in the order of these classes.

    Args:
        suspect: one that states the names of its classes.
        classes: the same names in the order wanted.

    Raises:
        ValueError: where they are not the same names.
    """

    def __init__(self, suspect: Suspect, classes: Sequence[str]) -> None:
        names = [unicodedata.normalize("NFC", name).strip() for name in suspect.classes or ()]
        wanted = [unicodedata.normalize("NFC", name).strip() for name in classes]
        if sorted(names) != sorted(wanted):
            raise ValueError(
                f"the suspect's classes are {_listed(names)}; expected were {_listed(wanted)}, in any order; "
                "ask about the data set that it was made for"
            )
        super().__init__(suspect)
        self.classes = tuple(classes)
        self._places = [names.index(name) for name in wanted]

    def describe(self) -> dict[str, Any]:
        """What the suspect says, and that its classes were put in another order."""
        return super().describe() | {"answers_in_order_of": list(self.classes)}

    def __call__(self, images: Tensor) -> Tensor:
        """The suspect's answers, (N, K), columns in the order of `classes`."""
        answers = self.suspect(images)
        if answers.shape[1] != len(self._places):  # silence, before anything says how wide an answer is
            return answers.new_full((len(answers), len(self._places)), torch.nan)
        return answers[:, self._places]


def in_order(suspect: Suspect, classes: Sequence[str]) -> Suspect:
    """The suspect with its answers in the order of these names; itself where it states no names, or has that order.

    Args:
        suspect: as `as_suspect` makes it.
        classes: the names wanted, in order.

    Raises:
        ValueError: where the suspect states other names.
    """
    if suspect.classes is None or tuple(suspect.classes) == tuple(classes):
        return suspect
    return InOrder(suspect, classes)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + ("…" if len(names) > 20 else "")
