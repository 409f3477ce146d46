"""A training that was killed goes on from its last finished epoch, to the same weights bit for bit.

Off unless asked for: inside `use_checkpoints(folder)` every training of a model for the store keeps its state there,
and the files are removed when the model is in the store. What the loop doesn't do, such as the queries of an adaptive
adversary, is done again.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mea_lib.files import replacing


@dataclass(frozen=True)
class Checkpoints:
    """Where and how often trainings keep their state.

    Attributes:
        folder: of the files; it is made when the first one is written.
        seconds: between two of them, at least; one is only written where an epoch ends.
        saved: called after each is written, with its path.
    """

    folder: Path
    seconds: float = 60.0
    saved: Callable[[Path], None] | None = None


@dataclass
class _Trainings:
    """The trainings of one model of the store, which are numbered as they begin."""

    identity: str
    begun: int = 0


_IN_USE: ContextVar[Checkpoints | None] = ContextVar("the checkpoints in use", default=None)
_MODEL: ContextVar[_Trainings | None] = ContextVar("the model that is being made", default=None)


@contextmanager
def use_checkpoints(
    folder: str | Path, seconds: float = 60.0, saved: Callable[[Path], None] | None = None
) -> Iterator[Checkpoints]:
    """Inside this block trainings keep their state in a folder, and go on from there. Args as `Checkpoints`."""
    chosen = Checkpoints(Path(folder), seconds, saved)
    before = _IN_USE.set(chosen)
    try:
        yield chosen
    finally:
        _IN_USE.reset(before)


@contextmanager
def trainings_of(identity: str) -> Iterator[None]:
    """Inside this block the model of this id is made and saved; its checkpoints are removed where that succeeds."""
    before = _MODEL.set(_Trainings(identity))
    try:
        yield
    finally:
        _MODEL.reset(before)
    used = _IN_USE.get()
    if used is not None:
        for path in used.folder.glob(f"{identity}.*"):
            path.unlink(missing_ok=True)


def next_checkpoint(**parts: Any) -> "Checkpoint | None":
    """The checkpoint of the training that begins now; None where none are kept.

    Args:
        parts: by name, what has a state: anything with `state_dict` and `load_state_dict`, or a generator.
    """
    used, model = _IN_USE.get(), _MODEL.get()
    if used is None or model is None:
        return None
    model.begun += 1
    return Checkpoint(used, used.folder / f"{model.identity}.{model.begun}.checkpoint", parts)


class Checkpoint:
    """The state of one training on disk.

    Args:
        settings: where and how often.
        path: of the file.
        parts: as `next_checkpoint`.
    """

    def __init__(self, settings: Checkpoints, path: Path, parts: dict[str, Any]) -> None:
        self.settings = settings
        self.path = path
        self.parts = {name: part for name, part in parts.items() if _has_state(part)}
        self.written = time.monotonic()

    def restore(self, of: Any) -> dict[str, Any]:
        """Bring all parts, and the global random state, to where they were; empty where there is no checkpoint.

        Args:
            of: what the training is of, in plain values; a checkpoint of another one is not used.

        Returns:
            what `save` was given to remember.
        """
        if not self.path.exists():
            return {}
        try:
            found = torch.load(self.path, map_location="cpu", weights_only=True)
            if found["of"] != self._of(of) or set(found["parts"]) != set(self.parts):
                return {}
        except Exception as error:  # a file of any content is no reason not to train
            warnings.warn(
                f"the checkpoint {self.path} cannot be read ({error}); training starts anew", stacklevel=2
            )
            return {}
        for name, state in found["parts"].items():
            _bring(self.parts[name], state)
        torch.set_rng_state(found["random"])
        if found["random_cuda"] is not None:
            torch.cuda.set_rng_state(found["random_cuda"])
        return found["remembered"]

    def save(self, of: Any, **remembered: Any) -> None:
        """Write the state, if it is time to.

        Args:
            of: as `restore`.
            remembered: further plain values that `restore` is to return.
        """
        if time.monotonic() - self.written < self.settings.seconds:
            return
        content = {
            "of": self._of(of),
            "parts": {name: _state(part) for name, part in self.parts.items()},
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() else None,
            "remembered": remembered,
        }
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as partial:
            torch.save(content, partial)
        self.written = time.monotonic()
        if self.settings.saved:
            self.settings.saved(self.path)

    def _of(self, of: Any) -> str:
        """The training, on this torch: another one's arithmetic may differ in the last bit."""
        return f"{of} torch {torch.__version__}"


def _has_state(part: Any) -> bool:
    return isinstance(part, torch.Generator) or hasattr(part, "load_state_dict")


def _state(part: Any) -> Any:
    return part.get_state() if isinstance(part, torch.Generator) else part.state_dict()


def _bring(part: Any, state: Any) -> None:
    if isinstance(part, torch.Generator):
        part.set_state(state)
    else:
        part.load_state_dict(state)
