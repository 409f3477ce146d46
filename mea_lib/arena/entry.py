"""Entries are strangers' code: they are called with care, and what they hand back is queried with care."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from mea_lib.blackbox import Oracle
from mea_lib.blackbox.suspect import printable
from mea_lib.models import ImageClassifier
from mea_lib.training import best_device

LONGEST_LINE = 300


class EntryFailed(Exception):
    """An entry raised, was too slow or handed back no classifier; the message is the line on the table.

    Args:
        text: in which the entry's own words may be; it is made one line that can be printed.
    """

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


def one_line(text: str, most: int = LONGEST_LINE) -> str:
    """A stranger's text for a table: on one line, at most so long, without characters that a terminal obeys or hides."""
    seen = printable(text, 10 * most)
    line = " ".join(seen.split())
    return line if len(line) <= most else f"{line[: most - 1]}…"


def call_entry(entry: Callable[..., Any], *arguments: Any, seed: int) -> Any:
    """Call an entry with torch's random state set by the seed, and put back afterwards.

    Raises:
        EntryFailed: when it raises, or ends the program.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            return entry(*arguments)
        except EntryFailed:
            raise
        except (Exception, SystemExit) as error:
            raise EntryFailed(describe(error)) from error


def suspect_of(returned: Any, classes: int) -> Oracle:
    """What an entry handed back, as a black box that must answer like a classifier.

    Args:
        returned: (N, C, H, W) uint8 images → (N, K) finite numbers; a module, or any other callable.
        classes: K.

    Raises:
        EntryFailed: for something that cannot be called; a query raises it for answers that are none.
    """
    if not callable(returned) or isinstance(returned, type):
        raise EntryFailed(f"returned {_kind(returned)}, not a model that can be asked")
    return Oracle(_CheckedAnswers(returned, classes))


def checked_classifier(returned: Any) -> ImageClassifier:
    """What a defence handed back, as the classifier that it must be; EntryFailed for anything else."""
    if not isinstance(returned, ImageClassifier):
        raise EntryFailed(
            f"returned {type(returned).__name__}, not a classifier as mea_lib.models.build makes it"
        )
    return returned


def describe(error: BaseException) -> str:
    """An error as one line: its kind, and the first line of what it says."""
    try:
        lines = str(error).strip()[:LONGEST_LINE].splitlines()
    except (Exception, SystemExit):  # an entry's own error may fail here too
        lines = []
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__


class _CheckedAnswers(nn.Module):
    """Passes queries on and refuses answers that are not a row of K finite numbers for each image."""

    def __init__(self, returned: Callable[[Tensor], Tensor], classes: int) -> None:
        super().__init__()
        self.returned = returned
        self.classes = classes

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) → (N, K) float32."""
        # A function has no weights that say where its model lies: all models of a contest lie on this device.
        asked = images if isinstance(self.returned, nn.Module) else images.to(best_device())
        try:
            answers = self.returned(asked)
        except EntryFailed:
            raise
        except (Exception, SystemExit) as error:
            raise EntryFailed(f"its model fails when it is asked: {describe(error)}") from error
        wanted = (len(images), self.classes)
        if not isinstance(answers, Tensor) or tuple(answers.shape) != wanted:
            given = f"shape {tuple(answers.shape)}" if isinstance(answers, Tensor) else _kind(answers)
            raise EntryFailed(f"its model answers {len(images)} images with {given}, not with shape {wanted}")
        answers = answers.detach().float()
        if not answers.isfinite().all():
            raise EntryFailed("its model answers with NaN or infinity")
        return answers


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a value of the type {type(value).__name__}"
