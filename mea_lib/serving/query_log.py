"""What a suspect was asked and what it answered, in one SQLite file that survives interruptions.

An answer that is in the log is never paid for again, and the whole of it can be laid beside a verdict. Each entry
holds a hash of itself and of the one before, so that an entry that was changed, left out or put in is noticed.
"""

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from mea_lib.files import write_whole

# Marks an SQLite file as a query log ("MEAQ"), with the version of its tables.
APPLICATION, VERSION = 0x4D454151, 2
PATIENCE_SECONDS = 60
_TABLES = """
CREATE TABLE suspect (identity TEXT NOT NULL);
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    image BLOB NOT NULL,
    answer BLOB,
    reason TEXT,
    asked TEXT NOT NULL,
    chain BLOB NOT NULL
);
CREATE TABLE head (entries INTEGER NOT NULL, chain BLOB NOT NULL);
CREATE UNIQUE INDEX answered ON entries (image) WHERE answer IS NOT NULL;
"""


class QueryLog:
    """Answers of one suspect by the SHA-256 of the image, and images it gave no answer to.

    A batch is written in one transaction, so that a process that is killed leaves whole batches only. The file
    must lie on a local disk: SQLite's locks do not hold on every network file system.

    The chain of hashes starts at the suspect, is checked when the file is opened, and ends in `digest`. It has no
    secret: who rewrites the whole of it is found out only by a digest that was kept elsewhere.

    Args:
        path: the file, made if it is not there; None keeps the log in memory.
        suspect: what identifies the suspect and what it is asked for, in values that JSON knows.

    Raises:
        ValueError: for a file that is no query log, an older version's, an edited one, or the log of another suspect.
        OSError: for a file that cannot be opened or made.
    """

    def __init__(self, path: str | Path | None, suspect: dict[str, Any]) -> None:
        self.path = None if path is None else Path(path)
        self.suspect = json.loads(_json(suspect))
        self._name = "the query log" if path is None else str(path)
        self._thread_lock = threading.RLock()
        try:
            self._file = sqlite3.connect(
                path or ":memory:", PATIENCE_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._open()
        except sqlite3.OperationalError as error:
            raise OSError(f"{self._name} cannot be used as a query log: {error}; check the folder") from error
        except sqlite3.DatabaseError as error:
            raise ValueError(f"{self._name} is not a query log ({error}); name another file") from error

    def _open(self) -> None:
        with self._transaction():
            marks = [self._file.execute(f"PRAGMA {name}").fetchone()[0] for name in _MARKS]
            if marks == [0, 0] and not self._file.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in _TABLES.split(";"):
                    self._file.execute(statement)
                self._file.execute("INSERT INTO suspect VALUES (?)", [_json(self.suspect)])
                self._file.execute("INSERT INTO head VALUES (0, ?)", [_start(self.suspect)])
                for name, mark in zip(_MARKS, (APPLICATION, VERSION), strict=True):
                    self._file.execute(f"PRAGMA {name} = {mark}")
            elif marks[0] != APPLICATION:
                raise ValueError(
                    f"{self._name} is another program's database, not a query log; name another file"
                )
            elif marks[1] != VERSION:
                raise ValueError(
                    f"{self._name} is a query log of version {marks[1]}, and this program writes version {VERSION}, "
                    "whose entries are chained; name another file"
                )
            try:
                written = json.loads(self._file.execute("SELECT identity FROM suspect").fetchone()[0])
            except (ValueError, TypeError, RecursionError) as error:
                raise ValueError(
                    f"{self._name} does not say which suspect it is of ({error}); name another file"
                ) from error
            self._check_chain(written)
            self._newest_before = self._file.execute("SELECT max(number) FROM entries").fetchone()[0] or 0
        if written != self.suspect:
            differ = [name for name in self.suspect if written.get(name) != self.suspect[name]]
            raise ValueError(
                f"{self._name} is the log of another suspect: "
                + ", ".join(
                    f"{name} is {_shown(written.get(name))}, not {_shown(self.suspect[name])}"
                    for name in differ
                )
                + "; name another file"
            )

    def _check_chain(self, suspect: dict[str, Any]) -> None:
        """Check that no entry was changed since it was written."""
        chain, number = _start(suspect), 0
        for *entry, kept in self._file.execute(
            "SELECT image, answer, reason, asked, chain FROM entries ORDER BY number"
        ):
            number += 1
            chain = _linked(chain, *entry)
            if chain != kept:
                raise ValueError(
                    f"{self._name} is not as it was written: its chain of hashes breaks at entry {number}, which was "
                    "changed, or another was put in or left out before it; name another file"
                )
        if self._file.execute("SELECT entries, chain FROM head").fetchall() != [(number, chain)]:
            raise ValueError(
                f"{self._name} is not as it was written: its last entries, or the suspect it is of, are others; "
                "name another file"
            )

    def __len__(self) -> int:
        """Images that were answered."""
        return self._file.execute("SELECT count(answer) FROM entries").fetchone()[0]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keeps others from querying: look, query and record inside, and nothing is paid twice."""
        lock = nullcontext() if self.path is None else FileLock(f"{self.path.resolve()}.lock")
        with self._thread_lock, lock:
            yield

    def find(self, keys: Sequence[bytes]) -> dict[bytes, Tensor]:
        """The answers (K,) that are known, by key."""
        found = {}
        with self._thread_lock:
            for key in keys:
                row = self._file.execute(
                    "SELECT answer FROM entries WHERE image = ? AND answer IS NOT NULL", [key]
                ).fetchone()
                if row:
                    found[key] = torch.from_numpy(np.frombuffer(row[0], "<f4").astype(np.float32))
        return found

    def record(self, keys: Sequence[bytes], answers: Tensor, reasons: Sequence[str | None]) -> None:
        """Keep a batch, whole or not at all; it is on the disk when this returns.

        Args:
            keys: of N images.
            answers: (N, K) float32.
            reasons: why an image has no answer; None for those whose row counts. The first answer stays.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        rows = [
            (key, None if reason else answer.numpy().astype("<f4").tobytes(), reason, now)
            for key, answer, reason in zip(keys, answers, reasons, strict=True)
        ]
        known = "SELECT 1 FROM entries WHERE image = ? AND answer IS NOT NULL"
        with self._thread_lock, self._transaction():
            number, chain = self._file.execute("SELECT entries, chain FROM head").fetchone()
            for row in rows:
                if row[1] is not None and self._file.execute(known, row[:1]).fetchone():
                    continue
                number, chain = number + 1, _linked(chain, *row)
                self._file.execute(
                    "INSERT INTO entries (image, answer, reason, asked, chain) VALUES (?, ?, ?, ?, ?)",
                    (*row, chain),
                )
            self._file.execute("UPDATE head SET entries = ?, chain = ?", (number, chain))

    def older(self, keys: Sequence[bytes]) -> list[bytes]:
        """Those of the keys that were answered before this object opened the log."""
        statement = "SELECT number FROM entries WHERE image = ? AND answer IS NOT NULL"
        with self._thread_lock:
            rows = [(key, self._file.execute(statement, [key]).fetchone()) for key in keys]
        return [key for key, row in rows if row and row[0] <= self._newest_before]

    def width(self) -> int | None:
        """K, numbers in an answer; None before the first one."""
        row = self._file.execute("SELECT answer FROM entries WHERE answer IS NOT NULL LIMIT 1").fetchone()
        return len(row[0]) // 4 if row else None

    def span(self) -> tuple[str, str] | None:
        """When the first and the last image were sent (ISO 8601, UTC); None before the first one."""
        first, last = self._file.execute("SELECT min(asked), max(asked) FROM entries").fetchone()
        return (first, last) if first else None

    def entries(self) -> Iterator[dict[str, Any]]:
        """All queries, in order: SHA-256 of the image, the answer or why there is none, time and chain."""
        for image, answer, reason, asked, chain in self._file.execute(
            "SELECT image, answer, reason, asked, chain FROM entries ORDER BY number"
        ):
            numbers = None if answer is None else np.frombuffer(answer, "<f4").astype(float).tolist()
            yield {
                "image": image.hex(),
                "answer": numbers,
                "reason": reason,
                "asked": asked,
                "chain": chain.hex(),
            }

    def digest(self) -> str:
        """The last hash of the chain, in hexadecimal: it is that of the suspect and all entries, in their order.

        The first is the SHA-256 of the suspect as JSON with sorted keys. Each further one is the SHA-256 of the one
        before, the image's, the answer's length in four bytes, the answer as little-endian float32, and
        `[reason, asked]` as JSON.
        """
        return self._file.execute("SELECT chain FROM head").fetchone()[0].hex()

    def export(self, path: str | Path) -> None:
        """Write everything as JSON, whole or not at all, to go with the evidence."""
        with self._transaction():  # the digest is that of these entries, whatever another process adds
            content = {"suspect": self.suspect, "digest": self.digest(), "entries": list(self.entries())}
        write_whole(Path(path), json.dumps(content).encode())

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")


_MARKS = ("application_id", "user_version")


def _start(suspect: dict[str, Any]) -> bytes:
    """The hash that the chain begins with."""
    return hashlib.sha256(_json(suspect).encode()).digest()


def _linked(before: bytes, image: bytes, answer: bytes | None, reason: str | None, asked: str) -> bytes:
    """The hash of an entry and of all before it."""
    answer = answer or b""
    parts = (before, image, len(answer).to_bytes(4, "little"), answer, _json([reason, asked]).encode())
    return hashlib.sha256(b"".join(parts)).digest()


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 100 else f"{shown[:100]}…"


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
