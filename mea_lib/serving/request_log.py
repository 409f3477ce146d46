"""What a service was asked and by whom: one entry for every request that reached the model."""

import os
import threading
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mea_lib.serving.chained_log import ChainedLog


@dataclass(frozen=True)
class Request:
    """One entry of the log.

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


class _File(ChainedLog):
    kind, mark = "request log", 0x4D454152  # "MEAR"


class RequestLog:
    """A log that grows, safe with several threads of one process.

    An entry is with the operating system before `add` returns, so that it outlives this process, though not a power
    cut. Numbers go on where an older log ends. Two services on one log would number their answers alike and grant every
    budget twice, so the log belongs to one process, from when it is made until `close`, under whatever name it is
    reached. A file that is moved or removed meanwhile is begun anew.

    Args:
        path: the file, made if need be; None keeps nothing.

    Attributes:
        answered: images that an older log says were answered, by client.

    Raises:
        ValueError: for a file that is no such log, an edited one, or the log of a service that is running.
        OSError: for a file that cannot be written.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self.answered: Counter[str] = Counter()
        self._next = 0
        self._turn = threading.Lock()
        self._file: _File | None = None
        self.open()

    def open(self) -> None:
        """Take the log again after `close`, with what others have added to it; an open one stays as it is.

        Raises:
            ValueError, OSError: as when it is made.
        """
        if self.path is None or self._file is not None:
            return
        self._take()
        self.answered = Counter()
        for request in map(_request, self._file.entries()):
            if request.first is not None:
                self.answered[request.client] += request.images
                self._next = request.first + request.images

    def close(self) -> None:
        """Leave the log to others."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def add(self, client: str, id: str | None, images: int, sha256: str, status: int) -> None:
        """Write one entry, whole or not at all.

        Raises:
            OSError: when the disk does not take it, the log was closed, or another service or file has its place.
        """
        if self.path is None:
            return
        with self._turn:
            self._keep_its_place()
            first = self._next if status == 200 else None
            said = {"client": client, "id": id, "images": images, "first": first, "status": status}
            self._file.append([(bytes.fromhex(sha256), None, said)])
            if first is not None:
                self._next += images

    def _take(self) -> None:
        try:
            self._file = _File(self.path, {}, "EXCLUSIVE")
        except BlockingIOError as error:
            raise ValueError(str(error)) from None
        self._place, self._process = self.path.stat(), os.getpid()

    def _keep_its_place(self) -> None:
        """See that the file is still this process's and still bears its name, and else begin another one."""
        if self._file is None:
            raise OSError(f"{self.path} was closed; open() takes it again")
        if self._process != os.getpid():
            raise OSError(
                f"{self.path} is the log of the process that this one was forked from; make one here"
            )
        with suppress(FileNotFoundError):
            place = self.path.stat()
            if os.path.samestat(place, self._place):
                return
            if place.st_size:
                raise OSError(
                    f"another file has taken the place of {self.path}; move it away, and the log goes on"
                )
        self._file.close()
        self._take()


def read_log(path: str | Path) -> list[Request]:
    """All requests in a log, also in that of a service that is running.

    Raises:
        ValueError: for a file that is no such log, or an edited one.
        OSError: for a file that cannot be read.
    """
    with closing(_File(path, {}, "DEFERRED")) as file:
        return list(map(_request, file.entries()))


def _request(entry: dict[str, Any]) -> Request:
    return Request(time=entry["time"], sha256=entry["sha256"], **entry["said"])
