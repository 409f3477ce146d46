"""Files that several processes may want: written whole or not at all, and never over what another has just written.

What goes wrong with a file names it: an error of the system too, where the system's own words don't.
Files that somebody names are read here, too: only ordinary ones, and of bounded size.
"""

import json
import logging
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from filelock import BaseFileLock, FileLock, Timeout

WAIT_SECONDS = 2  # for another process, before that is said
_log = logging.getLogger("mea_lib.files")
LARGEST_TEXT = 16 * 2**20  # bytes of what people write, or read: keys, cards, tokens, tables
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (lambda mode: True, "a device"),
)


@dataclass(frozen=True)
class NewFile:
    """A file of a set that is written together.

    Attributes:
        path: where it goes.
        content: bytes, or text that is written as UTF-8.
        mode: permissions, such as 0o600, whatever the user's umask; None for the user's usual ones.
    """

    path: Path
    content: bytes | str
    mode: int | None = None


def write_whole(path: Path, content: bytes | str, mode: int | None = None) -> None:
    """Write a file whole or not at all: it is on the disk when this returns, and an older one is replaced.

    Args:
        path: of the file.
        content: bytes, or text that is written as UTF-8.
        mode: permissions, such as 0o600 for a secret, whatever the user's umask; None for the user's usual ones.
    """
    with ExitStack() as stack:
        os.replace(_partial(NewFile(path, content, mode), stack), path)


def write_together(files: Iterable[NewFile], replace: bool = False) -> None:
    """Write files that belong together: all or none, and never a mixture of what two processes write.

    The last file makes the set. It is written last and, where a set is replaced, removed first: whoever is
    interrupted leaves files without it, which are none. Beside each file a hidden one that ends in .lock stays.

    Args:
        files: each with a path of its own; the last one is what readers look for first.
        replace: whether older files may be replaced. Without it a file that is there stays as it is.

    Raises:
        FileExistsError: for a file that is there, holds something else, and may not be replaced; then nothing
            was written.
    """
    files = list(files)
    with ExitStack() as stack:
        for path in sorted({file.path.resolve() for file in files}):
            stack.enter_context(lock_file(path.with_name(f".{path.name}.lock")))
        partials = [_partial(file, stack) for file in files]
        if replace:
            files[-1].path.unlink(missing_ok=True)
            for file, partial in zip(files, partials, strict=True):
                os.replace(partial, file.path)
        else:
            _claim_all(files, partials)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Where to write a file that is too large for the memory: it takes the place of `path` when the block ends.

    Nothing of it is left where the block fails. Only for files that one process at a time writes, as under a lock.
    """
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def lock_file(path: Path) -> BaseFileLock:
    """A lock between processes, which all who may write into its folder can take; the file stays."""
    return FileLock(path, mode=folder_mode(path.parent))


@contextmanager
def waited_for(lock: BaseFileLock, words: str) -> Iterator[None]:
    """Hold a lock; where another process has it for longer than a moment, that is said, and waited for.

    Args:
        lock: of a file.
        words: what the other process is doing, such as "fetching cifar-10".
    """
    try:
        lock.acquire(timeout=WAIT_SECONDS)
    except Timeout:
        _log.warning("another process is %s; waiting for it", words)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def folder_mode(folder: Path) -> int:
    """Permissions of files that whoever shares a folder can use as they use the folder, whatever the umask."""
    return stat.S_IMODE(folder.stat().st_mode) & 0o666 | 0o600


@contextmanager
def reading(path: str | Path, largest: int | None = None) -> Iterator[BinaryIO]:
    """A file that is open to be read; nobody waits for the other end of a pipe.

    Raises:
        ValueError: for a pipe or a device, or for more than `largest` bytes.
        OSError, MemoryError: as they come while it is open, with the file's name.
    """
    no_waiting = getattr(os, "O_NONBLOCK", 0)
    with (
        _named(path),
        open(path, "rb", opener=lambda name, flags: os.open(name, flags | no_waiting)) as opened,
    ):
        _check(path, os.fstat(opened.fileno()), largest)
        yield opened


@contextmanager
def _named(path: str | Path) -> Iterator[None]:
    """Errors of the system name this file, and not a passing one."""
    try:
        yield
    except OSError as error:
        error.filename = str(path)
        raise
    except MemoryError as error:
        raise MemoryError(f"there is not enough memory for {path}") from error


def _claim_all(files: list[NewFile], partials: list[Path]) -> None:
    """Give all files their names, or none where one of the names is taken."""
    claimed: list[Path] = []
    try:
        for file, partial in zip(files, partials, strict=True):
            try:
                _claim(partial, file.path)
                claimed.append(file.path)
            except FileExistsError:
                if not _holds(file):
                    raise FileExistsError(f"{file.path} is there already and holds something else") from None
    except BaseException:
        for path in reversed(claimed):
            path.unlink(missing_ok=True)
        raise


def _claim(partial: Path, path: Path) -> None:
    """Name a file so; FileExistsError where the name is taken, even if another process took it a moment ago."""
    try:
        os.link(partial, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without hard links
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        os.replace(partial, path)


def _holds(file: NewFile) -> bool:
    with suppress(OSError):
        return file.path.read_bytes() == _bytes(file.content)
    return False


def _partial(file: NewFile, stack: ExitStack) -> Path:
    """The content under a name that nobody else has, in the same folder; gone at the latest when `stack` closes."""
    partial = file.path.with_name(f"{file.path.name}.{secrets.token_hex(8)}.partial")
    stack.callback(partial.unlink, missing_ok=True)
    usual = 0o666  # less what the user's umask takes away
    with (
        _named(file.path),
        open(partial, "xb", opener=lambda name, flags: os.open(name, flags, file.mode or usual)) as opened,
    ):
        if file.mode is not None:
            os.chmod(partial, file.mode)
        opened.write(_bytes(file.content))
        opened.flush()
        os.fsync(opened.fileno())
    return partial


def _bytes(content: bytes | str) -> bytes:
    return content.encode() if isinstance(content, str) else content


def check_file(path: str | Path, largest: int | None = None) -> None:
    """Check that a name is that of an ordinary file, or of a link to one, without opening it.

    A FIFO or a terminal keeps its reader waiting, and /dev/zero never ends.

    Args:
        path: of the file.
        largest: bytes that it may have; None for any number.

    Raises:
        FileNotFoundError: where there is none.
        ValueError: for what is no ordinary file, or too large; names it.
    """
    _check(path, os.stat(path), largest)


def read_file(path: str | Path, largest: int = LARGEST_TEXT) -> bytes:
    """The content of an ordinary file.

    Args, raises: as `check_file`, and OSError where it cannot be read.
    """
    check_file(path, largest)
    with reading(path, largest) as file:  # looks again, since something else may have taken its place
        return file.read(largest)


def read_text(path: str | Path, largest: int = LARGEST_TEXT) -> str:
    """The same as text; ValueError, which names the file, where it is not UTF-8."""
    try:
        return read_file(path, largest).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error}); name another file") from error


def read_json(path: str | Path, largest: int = LARGEST_TEXT) -> Any:
    """The same as JSON; ValueError, which names the file, where it is none or nests too deep to be read."""
    text = read_text(path, largest)
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); name another file") from error


def _check(path: str | Path, status: os.stat_result, largest: int | None) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next(words for is_one, words in _KINDS if is_one(status.st_mode))
        raise ValueError(f"{path} is {kind} and not an ordinary file; name another one")
    if largest is not None and status.st_size > largest:
        raise ValueError(
            f"{path} has {status.st_size:,} bytes, and at most {largest:,} are read; name another file"
        )
