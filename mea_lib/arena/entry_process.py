"""An entry from a file, in a process of its own: it can be stopped, and the keys are not in its memory.

This is no sandbox. The process may read whatever its user may read, so a stranger's file belongs into a container.
"""

import importlib.util
import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor

from mea_lib.arena.entry import EntryFailed, describe
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier, build_from_spec
from mea_lib.scale import Scale
from mea_lib.training import best_device
from mea_lib.training.store import packed_weights

SECONDS_TO_START = 300.0  # Python and torch, on a busy machine
SECONDS_TO_END = 5.0
HIDDEN_VARIABLES = ("MEA_ARENA_SECRET", "MEA_STORE")


class EntryProcess:
    """The function of a file as an entry, for `judge_removal` or `judge_defence`; use it in a `with` block.

    The process gets a model, images and scale, or what a defence gets, and a store of its own that is empty in the
    beginning. What comes back is never unpickled: weights and answers are plain tensors.

    Args:
        path: of the Python file.
        function: its name in the file.
        discipline: "removal" or "defence".
        seconds: that one call, and one query to the returned model, may take; then the process is ended.
    """

    def __init__(self, path: str | Path, function: str, discipline: str, seconds: float) -> None:
        self._file = (str(Path(path).resolve()), function)
        self._discipline = discipline
        self._seconds = seconds
        self._process = None
        self._store = tempfile.TemporaryDirectory(prefix="mea-arena-")

    def __enter__(self) -> "EntryProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._store.cleanup()

    def __call__(self, *arguments: Any) -> Callable[[Tensor], Tensor] | ImageClassifier:
        """Call the function; see `judge_removal` and `judge_defence` for what it is given.

        Raises:
            EntryFailed: when it raises, is too slow, or its process ends.
        """
        self._end()
        context = get_context("spawn")
        self._connection, its_end = context.Pipe()
        pack = _pack_removal if self._discipline == "removal" else _pack_defence
        work = (
            its_end,
            *self._file,
            self._store.name,
            self._discipline,
            torch.initial_seed(),
            torch.get_num_threads(),
            pack(*arguments),
        )
        self._process = context.Process(target=_serve, args=work, daemon=True)
        self._process.start()
        its_end.close()
        self._receive(SECONDS_TO_START)
        if self._discipline == "removal":
            self._receive(self._seconds)
            return self._ask
        spec = json.loads(self._receive(self._seconds))
        model = build_from_spec(spec)
        model.load_state_dict(load(self._receive(self._seconds)))
        return model.to(best_device())

    def _ask(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → what the function's model answers."""
        with suppress(OSError):  # an ended process is found out by the next line
            self._connection.send(images.cpu().numpy())
        return load(self._receive(self._seconds))["answers"].to(images.device)

    def _receive(self, seconds: float) -> bytes:
        """The next message of the process, if it comes in time and is no complaint."""
        try:
            if not self._connection.poll(seconds):
                self._end()
                raise EntryFailed(f"took longer than the {seconds:g} s that are allowed for a model")
            message = self._connection.recv_bytes()
        except (EOFError, OSError) as error:
            self._process.join(SECONDS_TO_END)
            code = self._process.exitcode
            self._end()
            said = "closed its line to the judge" if code is None else f"ended with the code {code}"
            raise EntryFailed(f"its process {said}") from error
        if message[:1] != b"+":
            raise EntryFailed(message[1:].decode(errors="replace"))
        return message[1:]

    def _end(self) -> None:
        if self._process is not None:
            self._connection.close()
            self._process.kill()
            self._process.join()
            self._process = None


def _pack_removal(model: ImageClassifier, images: Tensor, scale: Scale) -> tuple[Any, ...]:
    """The arguments of a removal without torch's tensors, which another process would share by file handles."""
    return packed_weights(model), model.spec, images.cpu().numpy(), scale


def _unpack_removal(
    weights: bytes, spec: dict, images: np.ndarray, scale: Scale
) -> tuple[ImageClassifier, Tensor, Scale]:
    device = best_device()
    model = build_from_spec(spec)
    model.load_state_dict(load(weights))
    return model.to(device).eval(), torch.from_numpy(images).to(device), scale


def _pack_defence(train_set: ImageSet, key: WatermarkKey, scale: Scale, seed: int) -> tuple[Any, ...]:
    images, labels = train_set.images.cpu().numpy(), train_set.labels.cpu().numpy()
    return images, labels, train_set.classes, train_set.name, key.to_json(), scale, seed


def _unpack_defence(
    images: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    name: str,
    key: str,
    scale: Scale,
    seed: int,
) -> tuple[ImageSet, WatermarkKey, Scale, int]:
    train_set = ImageSet(torch.from_numpy(images), torch.from_numpy(labels), classes, name).to(best_device())
    return train_set, WatermarkKey.from_json(key), scale, seed


def _serve(
    connection: Connection,
    path: str,
    function: str,
    store: str,
    discipline: str,
    seed: int,
    threads: int,
    packed: tuple[Any, ...],
) -> None:
    """The process: call the function once, then answer queries until no more come."""
    os.dup2(2, 1)  # what it prints must not mix with the judge's results
    sys.stdout = sys.stderr
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the judge's to see, who ends this process
    sys.path.insert(0, str(Path(path).parent))  # so that the file can import what lies beside it
    sys.argv = [path]  # those of the judge may hold the secret
    for name in HIDDEN_VARIABLES:
        os.environ.pop(name, None)
    os.environ["MEA_STORE"] = store
    torch.manual_seed(seed)
    torch.set_num_threads(threads)  # the judge's: with another number the same training ends in another model
    arguments = (_unpack_removal if discipline == "removal" else _unpack_defence)(*packed)
    connection.send_bytes(b"+")
    with suppress(EOFError, OSError):
        try:
            made = load_function(path, function)(*arguments)
            if discipline == "defence":
                _send_model(connection, made)
                return
            if not callable(made):
                raise EntryFailed(f"returned {type(made).__name__}, not a model that can be asked")
            connection.send_bytes(b"+")
            _answer_all(connection, made)
        except EntryFailed as failure:
            connection.send_bytes(b"-" + str(failure).encode())
        except (Exception, SystemExit) as error:
            connection.send_bytes(b"-" + describe(error).encode())


def load_function(path: str, function: str) -> Callable[..., Any]:
    """The function of this name in a Python file.

    Raises:
        EntryFailed: where the file has no such function.
    """
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, function, None)
    if not callable(found):
        own = [
            name
            for name, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) == module.__name__
        ]
        raise EntryFailed(f"the file has no function {function!r}; it has: {', '.join(own) or 'none'}")
    return found


def _send_model(connection: Connection, made: Any) -> None:
    if not isinstance(made, ImageClassifier):
        raise EntryFailed(
            f"returned {type(made).__name__}, not a classifier as mea_lib.models.build makes it"
        )
    connection.send_bytes(b"+" + json.dumps(made.spec).encode())
    connection.send_bytes(b"+" + packed_weights(made))


def _answer_all(connection: Connection, made: Callable[[Tensor], Tensor]) -> None:
    device = best_device()
    if isinstance(made, torch.nn.Module):
        made = made.to(device).eval()
    while True:
        images = torch.from_numpy(connection.recv()).to(device)
        with torch.no_grad():
            answers = made(images)
        if not isinstance(answers, Tensor):
            raise EntryFailed(f"its model answers with a value of the type {type(answers).__name__}")
        connection.send_bytes(b"+" + save({"answers": answers.detach().cpu().contiguous()}))
