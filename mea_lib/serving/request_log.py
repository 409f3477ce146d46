"""What a service was asked and by whom: one line of JSON for every request that reached the model."""

import fcntl
import json
import os
import stat
import threading
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO


@dataclass(frozen=True)
class Request:
    """One line of the log.

    Attributes:
        time: when it was written, ISO 8601 in UTC.
        client: who asked, see `Clients.identify`; never a token.
        id: what the client called its request, or None.
        images: how many it sent.
        first: number of the first of them among all that were answered, counted from 0; None without an answer.
        sha256: of the images' bytes, (N, C, H, W) uint8 in this order.
        status: of the HTTP answer, 200 or 500.
    """

    time: str
    client: str
    id: str | None
    images: int
    first: int | None
    sha256: str
    status: int


class RequestLog:
    """A log that grows, safe with several threads of one process.

    A line is with the operating system before `add` returns, so that it outlives this process, though not a power
    cut. Numbers go on where an older log ends. Two services on one log would number their answers alike and grant every
    budget twice, so the log belongs to one process, from when it is made until `close`. A lock on the file itself,
    under whatever name it is reached, keeps the others away, and ends with its process. A file that is moved or removed
    meanwhile is begun anew.

    Args:
        path: the file, made if need be; None only counts.

    Attributes:
        answered: images that an older log says were answered, by client.

    Raises:
        ValueError: for a file that is no such log, or the log of a service that is running.
        OSError: for a file that cannot be written.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self.answered: Counter[str] = Counter()
        self._next = 0
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._process = os.getpid()
        self.open()

    def open(self) -> None:
        """Take the log again after `close`, with what others have added to it; an open one stays as it is.

        Raises:
            ValueError, OSError: as when it is made.
        """
        if self.path is None or self._file is not None:
            return
        try:
            file = _taken(self.path)
        except BlockingIOError as error:
            raise ValueError(str(error)) from None
        try:
            self._read(file)
        except BaseException:
            file.close()
            raise
        self._file, self._process = file, os.getpid()

    def close(self) -> None:
        """Leave the log to others."""
        if self._file is not None:
            if self._process == os.getpid():  # else the lock would go from the one that this was forked from
                fcntl.flock(self._file, fcntl.LOCK_UN)
            self._file.close()
            self._file = None

    def _read(self, file: BinaryIO) -> None:
        """Count what was answered, and cut off the end of a line that a killed service left."""
        file.seek(0)
        content = file.read()
        entries, torn = _parse(content, self.path)
        file.truncate(len(content) - len(torn))
        self.answered = Counter()
        for entry in entries:
            if entry.first is not None:
                self.answered[entry.client] += entry.images
        self._next = self.answered.total()

    def add(self, client: str, id: str | None, images: int, sha256: str, status: int) -> None:
        """Write one line, whole or not at all.

        Raises:
            OSError: when the disk does not take it, the log was closed, or another service or file has its place.
        """
        with self._lock:
            if self.path is not None:
                self._keep_its_place()
            first = self._next if status == 200 else None
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            entry = Request(now, client, id, images, first, sha256, status)
            if self.path is not None:
                _append(self._file, json.dumps(asdict(entry)).encode() + b"\n")
            if first is not None:
                self._next += images

    def _keep_its_place(self) -> None:
        """See that the file is still this process's and still bears its name, and else begin another one."""
        if self._file is None:
            raise OSError(f"{self.path} was closed; open() takes it again")
        if self._process != os.getpid():
            raise OSError(
                f"{self.path} is the log of the process that this one was forked from; make one here"
            )
        try:
            if os.path.samestat(self.path.stat(), os.fstat(self._file.fileno())):
                return
        except FileNotFoundError:
            pass
        file = _taken(self.path)
        if os.fstat(file.fileno()).st_size:
            file.close()
            raise OSError(
                f"another file has taken the place of {self.path}; move it away, and the log goes on"
            )
        self._file.close()
        self._file = file


def read_log(path: str | Path) -> list[Request]:
    """All requests in a log. A last line that was torn when the service was killed is passed over.

    Raises:
        ValueError: for any other line that is none of a log.
    """
    return _parse(Path(path).read_bytes(), path)[0]


def _parse(content: bytes, path: str | Path) -> tuple[list[Request], bytes]:
    """The requests in these bytes, and the line at the end that was torn, if any."""
    *lines, torn = content.split(b"\n")
    found = []
    for number, line in enumerate(lines, 1):
        try:
            found.append(Request(**json.loads(line)))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(
                f"line {number} of {path} is none of a request log ({error}); name another file, or mend it"
            ) from error
    start = b'{"time": "'
    if torn[: len(start)] != start[: len(torn)]:
        raise ValueError(f"the end of {path} is none of a request log; name another file, or mend it")
    return found, torn


def _taken(path: Path) -> BinaryIO:
    """The file, made if need be, which is no other process's as long as it stays open.

    Raises:
        ValueError: for something that is no file.
        BlockingIOError: where a service has it.
    """
    if path.exists() and not stat.S_ISREG(path.stat().st_mode):
        raise ValueError(f"{path} is no file that a log can be kept in; name another one")
    file = path.open("a+b", buffering=0)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        raise BlockingIOError(
            f"{path} is the log of a service that is running; end that one, or name another file"
        ) from None
    except BaseException:
        file.close()
        raise
    return file


def _append(file: BinaryIO, line: bytes) -> None:
    end = os.fstat(file.fileno()).st_size
    written = 0
    try:
        while written < len(line):
            written += file.write(line[written:])
    except OSError:
        os.ftruncate(file.fileno(), end)
        raise
