"""The logs of client and service: what they keep, what they refuse to be, and what others can check."""

import hashlib
import json
import multiprocessing
import os
import resource
import signal
import sqlite3
import struct
import threading
from collections import Counter
from contextlib import closing
from datetime import datetime

import pytest
import torch

from mea_lib.data.parties import image_digests
from mea_lib.serving import QueryLog
from mea_lib.serving.request_log import Request, RequestLog, read_log

SUSPECT = {"url": "http://a", "model": "m", "version": None}
KEYS = [bytes([number]) * 32 for number in range(4)]
ANSWERS = torch.tensor([[0.1, 0.9], [1 / 3, 2 / 3], [1.0, 0.0], [0.5, 0.5]])
REASONS = [None, None, "too slow", None]
RUNNING = "is the request log of a program that is running; end that one, or name another file"


class Queries:
    """A query log, and four entries of it."""

    kind = "query log"

    @staticmethod
    def open(path, suspect=SUSPECT):
        return QueryLog(path, suspect)

    @staticmethod
    def write(log, number=4):
        log.record(KEYS[:number], ANSWERS[:number], REASONS[:number])

    @staticmethod
    def write_much(log):
        log.record(KEYS, ANSWERS, ["too slow " * 100] * 4)

    @staticmethod
    def read(path):
        with closing(QueryLog(path, SUSPECT)) as log:
            return list(log.entries())


class Requests:
    """The same of a service."""

    kind = "request log"
    open = RequestLog
    read = staticmethod(read_log)

    @staticmethod
    def write_much(log):
        log.add("a", "x" * 4_000, 1, "ff" * 32, 200)

    @staticmethod
    def write(log, number=4):
        for images, status in ((3, 200), (2, 500), (1, 200), (7, 200))[:number]:
            log.add("a", "x", images, "ff" * 32, status)


@pytest.fixture(params=[Queries, Requests], ids=lambda side: side.kind)
def side(request):
    return request.param


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log"


# What both promise


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE entries SET answer = x'00000000' WHERE number = 2",
        "UPDATE entries SET time = '2020-01-01T00:00:00.000+00:00' WHERE number = 1",
        "UPDATE entries SET said = '\"busy\"' WHERE number = 3",
        "UPDATE entries SET sha256 = x'00' WHERE number = 4",
        "UPDATE entries SET chain = x'00' WHERE number = 4",
        "DELETE FROM entries WHERE number = 1",
        "DELETE FROM entries WHERE number = 4",
        "DELETE FROM entries",
        "UPDATE entries SET number = 9 WHERE number = 4",
        "INSERT INTO entries SELECT 5, time, sha256, NULL, said, chain FROM entries WHERE number = 4",
        'UPDATE about SET said = \'{"url": "http://b"}\'',
    ],
)
def test_a_log_that_was_edited_is_noticed(side, path, edit):
    with closing(side.open(path)) as log:
        side.write(log)
    assert len(side.read(path)) == 4
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute(edit)
    for use in (side.open, side.read):
        with pytest.raises(ValueError, match=r"is not as it was written.*name another file"):
            use(path)


def test_an_exported_log_bears_out_its_digest(path, tmp_path):
    log = Queries.open(path)
    Queries.write(log)
    log.export(tmp_path / "log.json")
    written = json.loads((tmp_path / "log.json").read_text())
    chain = hashlib.sha256(json.dumps(written["about"], sort_keys=True).encode()).digest()
    for entry in written["entries"]:
        answer = b"".join(struct.pack("<f", number) for number in entry["answer"] or ())
        said = json.dumps([entry["said"], entry["time"]]).encode()
        parts = (chain, bytes.fromhex(entry["sha256"]), struct.pack("<I", len(answer)), answer, said)
        chain = hashlib.sha256(b"".join(parts)).digest()
        assert chain.hex() == entry["chain"]
    assert chain.hex() == written["digest"] == log.digest()
    assert list(tmp_path.glob("*.partial")) == []
    log.record([b"x" * 32], ANSWERS[:1], [None])
    assert log.digest() != written["digest"]


OTHERS = {
    "text": b"no database at all, just text",
    "a broken database": b"SQLite format 3\x00" + b"\xff" * 200,
    "a service's log of version 0.1": b'{"time": "2026-01-01T00:00:00.000+00:00", "client": "a"}\n',
}


@pytest.mark.parametrize("what", [*OTHERS, "a database", "the other side's log", "an older log"])
def test_another_file_is_refused_and_left_as_it_is(side, path, what):
    words = f"log is not a {side.kind} of this version"
    if what in OTHERS:
        path.write_bytes(OTHERS[what])
    elif what == "a database":
        with closing(sqlite3.connect(path)) as other:
            other.execute("CREATE TABLE things (x)")
        words = f"another program's database, not a {side.kind}"
    elif what == "the other side's log":
        (Requests if side is Queries else Queries).open(path).close()
        words = f"another program's database, not a {side.kind}"
    else:
        side.open(path).close()
        with closing(sqlite3.connect(path)) as other:
            other.execute("PRAGMA user_version = 2")
        words = f"is a {side.kind} of version 2, and this program writes version 3; name another file"
    before = path.read_bytes()
    with pytest.raises(ValueError, match=words):
        side.open(path)
    assert path.read_bytes() == before


def test_where_no_log_can_be(side, path, tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        side.open(tmp_path / "nowhere" / "log")
    os.mkfifo(path)
    for other in (tmp_path, path, "/dev/zero"):
        with pytest.raises(ValueError, match="not an ordinary file"):
            side.open(other)


def test_what_the_disk_does_not_take_leaves_nothing_behind(side, path):
    """A limit on the size of files stands for a full disk."""
    log = side.open(path)
    side.write(log, 1)
    size = path.stat().st_size
    old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        for limit in (size // 8, size):  # the journal does not fit, the log does not
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, old_limit[1]))
            with pytest.raises(OSError, match=f"cannot be used as a {side.kind}"):  # noqa: PT012
                for _ in range(100):
                    side.write_much(log)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    before = len(side.read(path))
    side.write_much(log)
    log.close()
    assert len(side.read(path)) > before


# What the client's does


def test_keys_are_the_hashes_anybody_can_make():
    images = torch.arange(120).to(torch.uint8).view(2, 3, 4, 5)
    expected = [hashlib.sha256(bytes(image.reshape(-1).tolist())).digest() for image in images]
    assert image_digests(images.contiguous(memory_format=torch.channels_last)) == expected


def test_answers_come_back_bit_for_bit_and_the_first_one_stays(path):
    first = Queries.open(path)
    assert first.span() is first.width() is None
    Queries.write(first)
    log = Queries.open(path)
    found = log.find(KEYS)
    assert set(found) == {KEYS[0], KEYS[1], KEYS[3]}
    assert all(torch.equal(found[key], ANSWERS[KEYS.index(key)]) for key in found)
    assert (len(log), log.width()) == (3, 2)
    log.record(KEYS[1:3], ANSWERS[:2], [None, None])  # another answer, and one that was missing
    assert torch.equal(log.find(KEYS)[KEYS[1]], ANSWERS[1])
    assert torch.equal(log.find(KEYS)[KEYS[2]], ANSWERS[1])
    entries = list(log.entries())
    assert [entry["said"] for entry in entries] == [*REASONS, None]
    assert log.span() == (entries[0]["time"], entries[-1]["time"])
    assert log.older(KEYS) == [KEYS[0], KEYS[1], KEYS[3]]
    assert first.older(KEYS) == []
    assert first.digest() == log.digest()
    with pytest.raises(ValueError, match="zip"):
        log.record([b"x" * 32] * 4, ANSWERS[:3], REASONS)
    with pytest.raises(ValueError, match=r"url is 'http://a', not 'http://b'; name another file"):
        Queries.open(path, SUSPECT | {"url": "http://b"})
    assert len(list(log.entries())) == 5


def test_who_queries_alone_keeps_others_waiting_under_whatever_name(path):
    first = Queries.open(path)
    path.with_name("link").symlink_to(path)
    second = Queries.open(path.with_name("link"))
    done = []

    def wait():
        with second.alone():
            done.append("second")

    with first.alone():
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.3)
        Queries.write(first)
        third = Queries.open(path)  # to look is no need to wait
        assert len(third.find(KEYS)) == 3
        third.export(path.with_name("log.json"))
        done.append("first")
    thread.join(60)
    assert done == ["first", "second"]
    assert len(second) == 3


# What the service's does


def test_what_is_added_is_read_and_numbers_go_on(path):
    log = RequestLog(path)
    log.add("a", 'one\n"two" é', 3, "ff" * 32, 200)
    log.add("b", None, 2, "00" * 32, 500)
    first, failed = read_log(path)  # while the service runs
    assert first == Request(first.time, "a", 'one\n"two" é', 3, 0, "ff" * 32, 200)
    assert (failed.first, failed.status) == (None, 500)  # what was not answered has no number
    assert datetime.fromisoformat(first.time).utcoffset().total_seconds() == 0
    log.close()
    with pytest.raises(OSError, match=r"was closed; open\(\) takes it again"):
        log.add("a", None, 3, "ff" * 32, 200)
    with closing(RequestLog(path)) as other:
        assert other.answered == {"a": 3}
        other.add("b", None, 4, "ee" * 32, 200)
    log.open()
    assert log.answered == {"a": 3, "b": 4}
    log.add("a", None, 1, "dd" * 32, 200)
    assert [entry.first for entry in read_log(path)] == [0, None, 3, 7]


def test_a_kill_leaves_whole_entries_only(path):
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)

    def write():
        log = RequestLog(path)
        for number in range(10**6):
            log.add("a", str(number), 3, "ff" * 32, 200)
            send.send(number)

    for _ in range(3):
        process = context.Process(target=write)
        process.start()
        last = max(receive.recv() for _ in range(20))
        process.kill()
        process.join(60)
        while receive.poll():
            last = receive.recv()
        entries = read_log(path)
        assert [entry.first for entry in entries] == list(range(0, 3 * len(entries), 3))
        assert Counter(entry.id for entry in entries)[str(last)] >= 1
        assert RequestLog(path).answered["a"] == 3 * len(entries)


def test_of_several_services_one_has_the_log(path, at_once):
    RequestLog(path).add("a", None, 3, "ff" * 32, 200)

    def try_to_serve(number, together):
        try:
            log = RequestLog(path)
        except ValueError as error:
            together.wait()  # nobody ends before all have tried
            return str(error)
        together.wait()
        return log.add(f"client {number}", None, 2, "00" * 32, 200)

    said = at_once(try_to_serve, 4)
    assert [words for words in said if words] == [f"{path} {RUNNING}"] * 3
    assert [entry.first for entry in read_log(path)] == [0, 3]


@pytest.mark.parametrize(
    "way", ["symbolic link", "hard link", "other spelling", "files beside it are swept away"]
)
def test_one_log_has_one_service_under_whatever_name(path, way):
    with closing(RequestLog(path)) as log:
        log.add("a", None, 100, "ff" * 32, 200)
        other = path.with_name("other")
        if way == "symbolic link":
            other.symlink_to(path)
        elif way == "hard link":
            other.hardlink_to(path)
        elif way == "other spelling":
            other = path.parent / ".." / path.parent.name / path.name
        else:
            other = path
            for beside in set(path.parent.iterdir()) - {path, path.parent / "store"}:
                beside.unlink()
        with pytest.raises(ValueError, match="a program that is running"):
            RequestLog(other)
        log.add("a", None, 100, "ff" * 32, 200)
        assert len(read_log(other)) == 2


def test_a_forked_service_is_another_one(path, at_once):
    log = RequestLog(path)
    log.add("a", None, 3, "ff" * 32, 200)

    def write(number, together):
        with pytest.raises(OSError, match="forked from"):
            log.add("b", None, 3, "ff" * 32, 200)

    at_once(write, 2)
    log.add("a", None, 3, "ff" * 32, 200)
    assert [entry.first for entry in read_log(path)] == [0, 3]


def test_a_log_that_is_moved_away_is_begun_anew_and_stays_one_services(path):
    log = RequestLog(path)
    log.add("a", None, 3, "ff" * 32, 200)
    path.rename(path.with_name("yesterday"))
    log.add("a", None, 2, "ff" * 32, 200)
    with pytest.raises(ValueError, match="a program that is running"):
        RequestLog(path)
    assert [entry.first for entry in read_log(path.with_name("yesterday"))] == [0]
    assert [entry.first for entry in read_log(path)] == [3]
    path.unlink()
    path.write_text("a letter")
    with pytest.raises(OSError, match="another file has taken the place"):
        log.add("a", None, 1, "ff" * 32, 200)
    assert path.read_text() == "a letter"
    path.unlink()
    with closing(RequestLog(path)), pytest.raises(OSError, match="another file has taken the place"):
        log.add("a", None, 1, "ff" * 32, 200)
    path.unlink()
    log.add("a", None, 1, "ff" * 32, 200)
    assert [entry.first for entry in read_log(path)] == [5]
