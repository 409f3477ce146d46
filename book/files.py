"""Files that several processes may want at once: written whole or not at all, and held by one at a time."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

SECONDS_BETWEEN_LOOKS = 1


def write_whole(path: Path, text: str) -> None:
    """Write a text file whole or not at all; an older one is replaced in one step."""
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def one_at_a_time(lock: Path, while_waiting: str, stopping: threading.Event | None = None) -> Iterator[None]:
    """Hold a lock file while a block runs; a process that ends, however it ends, lets go of its own.

    Args:
        lock: the file; its folder is made.
        while_waiting: printed once when another process holds it.
        stopping: once it is set the wait ends and the block runs *without* the lock, so it must look at it first.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        print(while_waiting, flush=True)
    while not held.is_locked and not (stopping and stopping.is_set()):
        with suppress(Timeout):
            held.acquire(timeout=SECONDS_BETWEEN_LOOKS)
    try:
        yield
    finally:
        held.release()
