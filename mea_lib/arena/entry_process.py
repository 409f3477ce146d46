"""An entry from a file, in a process of its own: it can be stopped, and the keys are not in its memory.

Where bubblewrap works (`mea_lib.arena.sandbox`) the process is in a sandbox. Where it does not, the process may read
whatever its user may read, so a stranger's file belongs into a container.
"""

import os
import pickle
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load
from torch import Tensor

from mea_lib.arena import entry_keeper, entry_worker
from mea_lib.arena.channel import Channel, MessageTooLong
from mea_lib.arena.defence_spec import LONGEST_SPEC, read_spec
from mea_lib.arena.entry import EntryFailed
from mea_lib.arena.limits import entry_limits
from mea_lib.arena.packing import pack_defence, pack_removal
from mea_lib.arena.printed import pass_on
from mea_lib.arena.sandbox import sandboxed, why_no_sandbox
from mea_lib.models import ImageClassifier, build_from_spec
from mea_lib.training import best_device

SECONDS_TO_START = 300.0  # Python and torch, on a busy machine
SECONDS_TO_END = 5.0
HEADER = 4_096  # bytes: of a tensor's description, and enough for any complaint
# Variables that an entry gets from the judge: how to find libraries, and how torch computes.
VARIABLES = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "TZ", "VIRTUAL_ENV")
VARIABLES_OF = ("OMP_", "MKL_", "OPENBLAS_", "KMP_", "CUDA_", "CUBLAS_", "NVIDIA_", "TORCH_", "PYTORCH_")


class EntryProcess:
    """The function of a file as an entry, for `judge_removal` or `judge_defence`; use it in a `with` block.

    The process gets a model, images and scale, or what a defence gets, and a store of its own that is empty in the
    beginning. What comes back is never unpickled: weights and answers are plain tensors of a size that is known
    before. The process is limited (`entry_limits`), and ended with all that it has started.

    Args:
        path: of the Python file.
        function: its name in the file.
        discipline: "removal" or "defence".
        seconds: that one call may take, and again that all answers of the returned model may take together; then
            the process is ended.
    """

    worker = ("-m", entry_worker.__name__)  # what Python runs there

    def __init__(self, path: str | Path, function: str, discipline: str, seconds: float) -> None:
        self._file = (str(Path(path).resolve()), function)
        self._discipline = discipline
        self._seconds = seconds
        self._process = None
        self._store = tempfile.TemporaryDirectory(prefix="mea-arena-", ignore_cleanup_errors=True)

    def __enter__(self) -> "EntryProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()
        self._store.cleanup()

    def __call__(self, *arguments: Any) -> Callable[[Tensor], Tensor] | ImageClassifier:
        """Call the function; see `judge_removal` and `judge_defence` for what it is given.

        Raises:
            EntryFailed: when it raises, is too slow, sends what it should not, or its process ends.
        """
        self._end()
        self._start()
        removal = self._discipline == "removal"
        path, function = self._file
        work = {
            "path": path,
            "function": function,
            "discipline": self._discipline,
            "seed": torch.initial_seed(),
            "threads": torch.get_num_threads(),
            "packed": (pack_removal if removal else pack_defence)(*arguments),
        }
        self._allow(SECONDS_TO_START)
        self._exchange(pickle.dumps(work), most=0)
        self._allow(self._seconds)
        if removal:
            self._classes = arguments[0].spec["classes"]
            self._exchange(None, most=0)
            self._allow(self._seconds)
            return self._ask
        model = build_from_spec(read_spec(self._exchange(None, most=LONGEST_SPEC), arguments[0]))
        size = sum(value.nbytes for value in model.state_dict().values())
        model.load_state_dict(load(self._exchange(None, most=2 * size + 16 * HEADER)))
        return model.to(best_device())

    def _ask(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 → what the function's model answers."""
        most = 2 * 4 * len(images) * self._classes + HEADER
        answer = self._exchange(pickle.dumps(images.cpu().numpy()), most)
        return load(answer)["answers"].to(images.device)

    def _start(self) -> None:
        path, store = Path(self._file[0]), Path(self._store.name)
        environment = {
            name: value
            for name, value in os.environ.items()
            if name in VARIABLES or name.startswith(VARIABLES_OF)
        } | {
            "MEA_STORE": str(store),
            "HOME": str(store),
            "PYTHONUNBUFFERED": "1",  # or what it printed is lost when it is ended
            "PYTHONPATH": str(Path(__file__).parent.parent.parent),
        }
        keeper = [sys.executable, entry_keeper.__file__, entry_keeper.packed(entry_limits())]
        command = [*keeper, sys.executable, *self.worker]
        if why_no_sandbox() is None:
            command = sandboxed(command, path, store)
        judges_end, entrys_end = socket.socketpair()
        with entrys_end:
            self._process = subprocess.Popen(
                command,
                stdin=entrys_end,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,  # what it prints must not mix with the judge's results
                env=environment,
                cwd=store,
                start_new_session=True,
            )
        self._channel = Channel(judges_end)
        self._printed = pass_on(self._process.stdout)

    def _allow(self, seconds: float) -> None:
        self._allowed = self._left = seconds

    def _exchange(self, message: bytes | None, most: int) -> bytes:
        """Send a message where there is one, and receive the next one of at most so many bytes, if it is no complaint.

        What it takes is taken from the seconds that are left.
        """
        began = time.monotonic()
        with self._blamed():
            if message is not None:
                # Why the line is closed, the next statement finds out.
                with suppress(BrokenPipeError, ConnectionResetError):
                    self._channel.send(message, self._left)
            reply = self._channel.receive(max(most, HEADER) + 1, self._left - (time.monotonic() - began))
        self._left -= time.monotonic() - began
        if reply[:1] != b"+":
            raise EntryFailed(reply[1:].decode(errors="replace"))
        return reply[1:]

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """Errors of the line are the entry's; its process is ended."""
        try:
            yield
        except TimeoutError as error:
            self._end()
            raise EntryFailed(
                f"took longer than the {self._allowed:g} s that are allowed for a model"
            ) from error
        except MessageTooLong as error:
            self._end()
            raise EntryFailed(f"its process does not answer as it should: {error}") from error
        except (EOFError, OSError) as error:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(SECONDS_TO_END)
            code = self._process.returncode
            self._end()
            how = "closed its line to the judge" if code is None else f"ended with the code {code}"
            raise EntryFailed(f"its process {how}") from error

    def _end(self) -> None:
        if self._process is None:
            return
        self._channel.close()
        entry_keeper.end_whole(self._process, self._store.name)
        self._printed.join(SECONDS_TO_END)
        self._process = None
