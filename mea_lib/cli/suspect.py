"""The model that a command asks: one on disk behind an `Oracle`, or one behind an HTTP API."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from mea_lib.cli.inputs import check_images, classifier_from, marked
from mea_lib.cli.models import load_model
from mea_lib.cli.report import usage

if TYPE_CHECKING:
    from torch import Tensor

    from mea_lib.data import ImageSet

CHUNK = 4_000
FEW = 500  # images that are answered before a bar is read


def check_which(model: str | None, url: str | None, only_remote: dict[str, Any]) -> None:
    """A usage error unless just one of --model and --url is given, and what belongs to --url only with it."""
    if (model is None) == (url is None):
        raise typer.BadParameter("give either --model or --url")
    if url is None:
        given = [option for option, value in only_remote.items() if value is not None]
        if given:
            raise typer.BadParameter(f"{', '.join(given)} can only be used with --url")
    elif not url.startswith(("http://", "https://")):
        raise typer.BadParameter(f"must begin with http:// or https://, not {url!r}", param_hint="--url")


def local(reference: str, images: "ImageSet", mark_answers: Path | None = None, **oracle: Any) -> "Watched":
    """A model on disk behind an `Oracle` with these settings.

    Args:
        reference: what --model says.
        images: such as the model takes; where its answers are marked, those it was trained on.
        mark_answers: the file of the key that they are marked with; None for answers as they are.
        oracle: settings of the `Oracle`.
    """
    from mea_lib.blackbox import Oracle

    files = classifier_from(reference)
    check_images(files, images)
    model = load_model(files)
    if mark_answers is not None:
        model = marked(model, mark_answers, images, hard=oracle.get("answer") == "hard")
    return Watched(Oracle(model, **oracle), CHUNK)


def remote(url: str, *, needs_probabilities: bool = False, **settings: Any) -> "Watched":
    """A model behind an HTTP API.

    Args:
        url: of the server.
        needs_probabilities: refuse answers that are something else, such as logits.
        settings: of the `RemoteOracle`.
    """
    from mea_lib.blackbox import RemoteOracle

    with usage("--url / --server / --query-log"):
        oracle = RemoteOracle(url, **settings)
    return Watched(oracle, oracle.batch_size, needs_probabilities)


class Watched:
    """A suspect, with a bar of its questions on stderr where that is a terminal.

    Args:
        suspect: an `Oracle` or one like it; what is not known here is asked of it.
        chunk: images asked at once, so that the bar moves.
        needs_probabilities: refuse answers below 0 or above 1.
    """

    def __init__(
        self, suspect: "Callable[[Tensor], Tensor]", chunk: int, needs_probabilities: bool = False
    ) -> None:
        self._suspect = suspect
        self._chunk = chunk
        self._needs_probabilities = needs_probabilities

    def __getattr__(self, name: str) -> Any:
        return getattr(self._suspect, name)

    def __call__(self, images: "Tensor") -> "Tensor":
        """The suspect's answers, (N, K). A budget that does not cover all of them refuses all."""
        import torch
        from tqdm import tqdm

        remaining = self._suspect.remaining
        is_refused = remaining is not None and remaining < len(images)
        if len(images) < FEW or is_refused or not sys.stderr.isatty():
            return self._checked(self._suspect(images))
        answers = []
        with tqdm(total=len(images), desc="asking", unit=" images", leave=False) as bar:
            for part in images.split(self._chunk):
                answers.append(self._checked(self._suspect(part)))
                bar.update(len(part))
        # A suspect that gave no answer yet may not know how wide one is.
        width = max(part.shape[1] for part in answers)
        pad = torch.nn.functional.pad
        return torch.cat([pad(part, (0, width - part.shape[1]), value=torch.nan) for part in answers])

    def _checked(self, answers: "Tensor") -> "Tensor":
        if self._needs_probabilities and ((answers < 0) | (answers > 1 + 1e-6)).any():
            raise ValueError(
                f"the suspect answers with numbers from {answers.min():.3g} to {answers.max():.3g}, which are no "
                "probabilities; this thief cannot learn from them"
            )
        return answers
