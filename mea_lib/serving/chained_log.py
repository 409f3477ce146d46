"""A log in an SQLite file, as client and service keep it: entries in order, each with a hash of itself and all before.

An entry that was changed, left out or put in is noticed. The chain has no secret: who rewrites the whole of it is found
out only by a digest that was kept elsewhere. The file must lie on a local disk, where SQLite's locks hold; a process
that opens it otherwise than with SQLite loses its own.
"""

import hashlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mea_lib.files import check_file, write_whole

VERSION = 3
PATIENCE_SECONDS = 60.0
_TABLES = """
CREATE TABLE about (said TEXT NOT NULL);
CREATE TABLE head (entries INTEGER NOT NULL, chain BLOB NOT NULL);
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    time TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    answer BLOB,
    said TEXT NOT NULL,
    chain BLOB NOT NULL
);
CREATE UNIQUE INDEX answered ON entries (sha256) WHERE answer IS NOT NULL;
"""


class ChainedLog:
    """Entries that are written in one transaction, so that a process that is killed leaves all of them or none.

    Args:
        path: the file, made if it is not there; None keeps the log in memory.
        about: what the log is of, in values that JSON knows; the chain begins with it.
        begin: SQLite's word for how it is opened. "IMMEDIATE": to write by turns with others, and what is written is on
            the disk. "EXCLUSIVE": to write alone until `close`, and what is written outlives the process, though not a
            power cut. "DEFERRED": to read.

    Raises:
        ValueError: for a file that is no such log, an older version's, an edited one, or the log of something else.
        OSError: for a file that cannot be opened or made.
        BlockingIOError: where it should be written alone, and another process writes it.
    """

    kind, mark = "log", 0x4D45414C  # what a file of this class is called, and its "application_id"

    def __init__(self, path: str | Path | None, about: dict[str, Any], begin: str = "IMMEDIATE") -> None:
        self.path = None if path is None else Path(path)
        self.about = json.loads(_json(about))
        self._name = f"the {self.kind}" if path is None else str(path)
        self._turn = threading.RLock()
        self._open_value: sqlite3.Blob | None = None
        address = ":memory:"
        if self.path is not None:
            if not self.path.parent.is_dir():
                raise FileNotFoundError(f"there is no folder {self.path.parent}; make it first")
            if self.path.exists():
                check_file(self.path)
            address = f"{self.path.absolute().as_uri()}?mode={'rw' if begin == 'DEFERRED' else 'rwc'}"
        with self._plain_errors():
            self._file = sqlite3.connect(address, 0, isolation_level=None, check_same_thread=False, uri=True)
        try:
            with self._transaction(begin, 1.0 if begin == "EXCLUSIVE" else PATIENCE_SECONDS):
                self._check(may_make=begin != "DEFERRED")
                if begin == "EXCLUSIVE":
                    self._open_value = self._kept_from_others()
            if self._open_value is not None:
                self._sql("PRAGMA synchronous = OFF")
        except BaseException:
            self._file.close()
            raise

    def _check(self, may_make: bool) -> None:
        """See that this is such a log, as it was written; make one of a new file."""
        mark, version = (self._value(f"PRAGMA {name}") for name in ("application_id", "user_version"))
        if may_make and not mark and not self._value("SELECT count(*) FROM sqlite_master"):
            for statement in _TABLES.split(";"):
                self._sql(statement)
            self._sql("INSERT INTO about VALUES (?)", [_json(self.about)])
            self._sql("INSERT INTO head VALUES (0, ?)", [_start(_json(self.about))])
            self._sql(f"PRAGMA application_id = {self.mark}")
            self._sql(f"PRAGMA user_version = {VERSION}")
        elif mark != self.mark:
            raise ValueError(
                f"{self._name} is another program's database, not a {self.kind}; name another file"
            )
        elif version != VERSION:
            raise ValueError(
                f"{self._name} is a {self.kind} of version {version}, and this program writes version {VERSION}; "
                "name another file"
            )
        about = self._value("SELECT said FROM about")
        chain, place, is_broken = _start(about), 0, False
        for place, (number, *entry, kept) in enumerate(self._rows(), 1):
            chain = _linked(chain, *entry)
            if is_broken := (number, kept) != (place, chain):
                break
        if is_broken or self._sql("SELECT entries, chain FROM head").fetchall() != [(place, chain)]:
            raise ValueError(
                f"{self._name} is not as it was written: its chain of hashes breaks at entry {place}, or what follows "
                "it or the log is of was changed; name another file"
            )
        self._before = place
        written = json.loads(about)
        differ = [
            f"{name} is {written.get(name)!r:.100}, not {value!r:.100}"
            for name, value in self.about.items()
            if written.get(name) != value
        ]
        if differ:
            raise ValueError(
                f"{self._name} is the log of another suspect: {', '.join(differ)}; name another file"
            )

    def close(self) -> None:
        """Leave the file to others."""
        if self._open_value is not None:
            self._open_value.close()
            self._open_value = None
        self._file.close()

    def append(self, rows: Iterable[tuple[bytes, bytes | None, Any]]) -> None:
        """Write entries, whole or not at all: SHA-256, answer as little-endian float32, and what else is said.

        Raises:
            OSError: when the disk does not take them.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._transaction():
            number, chain = self._sql("SELECT entries, chain FROM head").fetchone()
            for sha256, answer, said in rows:
                entry = (now, sha256, answer, _json(said))
                number, chain = number + 1, _linked(chain, *entry)
                self._sql("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", (number, *entry, chain))
            self._sql("UPDATE head SET entries = ?, chain = ?", (number, chain))

    def entries(self) -> Iterator[dict[str, Any]]:
        """All entries, in order: time, SHA-256 of the image or images, answer, what else is said, and chain."""
        for _, when, sha256, answer, said, chain in self._rows():
            numbers = None if answer is None else np.frombuffer(answer, "<f4").astype(float).tolist()
            entry = {"time": when, "sha256": sha256.hex(), "answer": numbers}
            yield entry | {"said": json.loads(said), "chain": chain.hex()}

    def digest(self) -> str:
        """The last hash of the chain, in hexadecimal: it is that of what the log is of and all entries, in their order.

        The first is the SHA-256 of what it is of as JSON with sorted keys. Each further one is the SHA-256 of the one
        before, the entry's SHA-256, the answer's length in four bytes, the answer as little-endian float32, and
        `[said, time]` as JSON.
        """
        return self._value("SELECT chain FROM head").hex()

    def export(self, path: str | Path) -> None:
        """Write everything as JSON, whole or not at all, to go with the evidence."""
        with self._transaction("DEFERRED"):  # the digest is that of these entries, whatever another adds
            content = {"about": self.about, "digest": self.digest(), "entries": list(self.entries())}
        write_whole(Path(path), json.dumps(content).encode())

    def _rows(self) -> sqlite3.Cursor:
        return self._sql("SELECT number, time, sha256, answer, said, chain FROM entries ORDER BY number")

    def _kept_from_others(self) -> sqlite3.Blob:
        """Keeps others from writing until it is closed, where it was opened in an exclusive transaction.

        An open value keeps SQLite's shared lock on the file itself, under whatever name that is reached. Others can
        read beside it, and nobody gets an exclusive lock.
        """
        return self._file.blobopen("about", "said", 1, readonly=True)

    @contextmanager
    def _transaction(self, begin: str = "IMMEDIATE", seconds: float = PATIENCE_SECONDS) -> Iterator[None]:
        with self._turn, self._plain_errors():
            self._sql(f"BEGIN {begin}", seconds=seconds)
            changes = self._file.total_changes
            try:
                yield
                # Where nothing was written, to commit would wait for those who read.
                is_to_commit = begin == "EXCLUSIVE" or self._file.total_changes > changes
                self._sql("COMMIT" if is_to_commit else "ROLLBACK")
            except BaseException:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise

    def _value(self, statement: str, values: Any = ()) -> Any:
        """The first number or text that a statement finds; None where it finds nothing."""
        with self._turn:
            row = self._sql(statement, values).fetchone()
        return row and row[0]

    def _sql(self, statement: str, values: Any = (), seconds: float = PATIENCE_SECONDS) -> sqlite3.Cursor:
        """Run a statement, and wait for other processes, as SQLite itself does not while a value is kept open."""
        until = time.monotonic() + seconds
        while True:
            try:
                return self._file.execute(statement, values)
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > until:
                    raise
            time.sleep(0.01)

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY:
                what = f"is the {self.kind} of a program that is running; end that one, or name another file"
                raise BlockingIOError(f"{self._name} {what}") from error
            if isinstance(error, sqlite3.OperationalError):
                what = f"cannot be used as a {self.kind}: {error}; check the folder"
                raise OSError(f"{self._name} {what}") from error
            what = f"is not a {self.kind} of this version ({error}); name another file"
            raise ValueError(f"{self._name} {what}") from error


def _start(about: str) -> bytes:
    """The hash that the chain begins with."""
    return hashlib.sha256(about.encode()).digest()


def _linked(before: bytes, when: str, sha256: bytes, answer: bytes | None, said: str) -> bytes:
    """The hash of an entry and of all before it."""
    answer = answer or b""
    parts = (before, sha256, len(answer).to_bytes(4, "little"), answer, f"[{said}, {_json(when)}]".encode())
    return hashlib.sha256(b"".join(parts)).digest()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
