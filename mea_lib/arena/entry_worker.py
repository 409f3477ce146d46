"""The entry's side of the line: call the function of a file once, then answer queries until no more come."""

import importlib.util
import json
import os
import pickle
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from mea_lib.arena.channel import Channel
from mea_lib.arena.entry import EntryFailed, checked_classifier, describe
from mea_lib.arena.packing import unpack_defence, unpack_removal
from mea_lib.training import best_device
from mea_lib.training.store import packed_weights

_WHOLE_MEMORY = 2**62  # what the judge sends is as long as it is


def main() -> None:
    """Serve the judge, who is at the other end of standard input."""
    channel = Channel(socket.socket(fileno=os.dup(0)))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    with suppress(EOFError, OSError):
        try:
            _serve(channel, **pickle.loads(channel.receive(_WHOLE_MEMORY)))
        except EntryFailed as failure:
            channel.send(b"-" + str(failure).encode())
        except (Exception, SystemExit) as error:
            channel.send(b"-" + describe(error).encode(errors="replace"))


def load_function(path: str, function: str) -> Callable[..., Any]:
    """The function of this name in a Python file.

    Raises:
        EntryFailed: where the file has no such function.
    """
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    entry = getattr(module, function, None)
    if not callable(entry):
        defined = [
            name
            for name, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", None) == module.__name__
        ]
        raise EntryFailed(f"the file has no function {function!r}; it has: {', '.join(defined) or 'none'}")
    return entry


def _serve(
    channel: Channel,
    path: str,
    function: str,
    discipline: str,
    seed: int,
    threads: int,
    packed: tuple[Any, ...],
) -> None:
    sys.path.insert(0, str(Path(path).parent))  # so that the file can import what lies beside it
    sys.argv = [path]
    torch.manual_seed(seed)
    torch.set_num_threads(threads)  # the judge's: with another number the same training ends in another model
    arguments = (unpack_removal if discipline == "removal" else unpack_defence)(*packed)
    channel.send(b"+")
    made = load_function(path, function)(*arguments)
    if discipline == "defence":
        _send_model(channel, made)
        return
    if not callable(made):
        raise EntryFailed(f"returned {type(made).__name__}, not a model that can be asked")
    channel.send(b"+")
    _answer_all(channel, made)


def _send_model(channel: Channel, made: Any) -> None:
    model = checked_classifier(made)
    channel.send(b"+" + json.dumps(model.spec).encode())
    channel.send(b"+" + packed_weights(model))


def _answer_all(channel: Channel, made: Callable[[Tensor], Tensor]) -> None:
    device = best_device()
    if isinstance(made, torch.nn.Module):
        made = made.to(device).eval()
    while True:
        images = torch.from_numpy(pickle.loads(channel.receive(_WHOLE_MEMORY))).to(device)
        with torch.no_grad():
            answers = made(images)
        if not isinstance(answers, Tensor):
            raise EntryFailed(f"its model answers with a value of the type {type(answers).__name__}")
        channel.send(b"+" + save({"answers": answers.detach().float().cpu().contiguous()}))


if __name__ == "__main__":
    main()
