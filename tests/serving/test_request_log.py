"""The log of a service: whole lines, numbers that go on, and what a kill leaves behind."""

import dataclasses
import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime

import pytest

from mea_lib.serving.request_log import RequestLog, read_log


@pytest.fixture
def path(tmp_path):
    return tmp_path / "requests.jsonl"


def test_what_is_added_is_read(path):
    log = RequestLog(path)
    log.add("a", 'one\n"two" é', 3, "ff", 200)
    log.add("b", None, 2, "00", 500)
    log.add("b", None, 1, "01", 200)
    first, failed, last = read_log(path)
    assert dataclasses.astuple(first)[1:] == ("a", 'one\n"two" é', 3, 0, "ff", 200)
    assert (failed.first, failed.status) == (None, 500)
    assert last.first == 3  # what was not answered has no number
    assert datetime.fromisoformat(first.time).utcoffset().total_seconds() == 0


def test_an_older_log_is_gone_on_with(path):
    RequestLog(path).add("a", None, 3, "ff", 200)
    RequestLog(path).add("a", None, 9, "ff", 500)
    log = RequestLog(path)
    assert log.answered == {"a": 3}
    log.add("b", None, 2, "00", 200)
    assert [entry.first for entry in read_log(path)] == [0, None, 3]


@pytest.mark.parametrize("left", [1, 5, 12, 60])
def test_a_torn_last_line_is_passed_over_and_then_removed(path, left):
    log = RequestLog(path)
    log.add("a", None, 3, "ff", 200)
    whole = path.read_bytes()
    log.add("a", None, 4, "ee", 200)
    path.write_bytes(path.read_bytes()[: len(whole) + left])
    log.close()
    assert [entry.images for entry in read_log(path)] == [3]
    RequestLog(path).add("b", None, 5, "dd", 200)
    assert [(entry.images, entry.first) for entry in read_log(path)] == [(3, 0), (5, 3)]


@pytest.mark.parametrize(
    "content", [b"a picture", b"{}\n", b"[1]\n", b'{"time": 1}\n', b"\xff\n", b"\n", b'{"weights": 1}']
)
def test_another_file_is_refused_and_left_as_it_is(path, content):
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"requests\.jsonl is none of a request log"):
        RequestLog(path)
    assert path.read_bytes() == content


def test_a_damaged_line_is_named(path):
    log = RequestLog(path)
    for _ in range(3):
        log.add("a", None, 3, "ff", 200)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + lines[1][:20] + b"\n" + lines[2])
    with pytest.raises(ValueError, match="line 2 of"):
        read_log(path)


def test_of_several_services_one_has_the_log(path, at_once):
    RequestLog(path).add("a", None, 3, "ff", 200)
    torn = b'{"time": "'
    path.write_bytes(path.read_bytes() + torn)

    def serve(number, together):
        log = RequestLog(path)
        together.wait()  # nobody ends before all have tried
        log.add(f"client {number}", None, 2, "00", 200)

    def try_to_serve(number, together):
        try:
            serve(number, together)
        except ValueError as error:
            together.wait()
            return str(error)

    said = at_once(try_to_serve, 4)
    assert len([words for words in said if words is None]) == 1
    for words in filter(None, said):
        assert words == (
            f"{path} is the log of a service that is running; end that one, or name another file"
        )
    assert [entry.first for entry in read_log(path)] == [0, 3]


@pytest.mark.parametrize(
    "way", ["symbolic link", "hard link", "other spelling", "files beside it are swept away"]
)
def test_one_log_has_one_service_under_whatever_name(path, way):
    with closing(RequestLog(path)) as log:
        log.add("a", None, 100, "ff", 200)
        other = path.with_name("other")
        if way == "symbolic link":
            other.symlink_to(path)
        elif way == "hard link":
            other.hardlink_to(path)
        elif way == "other spelling":
            other = path.parent / ".." / path.parent.name / path.name
        else:
            other = path
            for beside in set(path.parent.iterdir()) - {path}:
                beside.unlink()
        with pytest.raises(ValueError, match="a service that is running"):
            RequestLog(other)


def test_a_forked_service_is_another_one(path, at_once):
    log = RequestLog(path)
    log.add("a", None, 3, "ff", 200)

    def write(number, together):
        with pytest.raises(OSError, match="forked from"):
            log.add("b", None, 3, "ff", 200)

    at_once(write, 2)
    log.add("a", None, 3, "ff", 200)
    assert [entry.first for entry in read_log(path)] == [0, 3]


def test_a_log_that_is_moved_away_is_begun_anew_and_stays_one_services(path):
    log = RequestLog(path)
    log.add("a", None, 3, "ff", 200)
    path.rename(path.with_name("yesterday"))
    log.add("a", None, 2, "ff", 200)
    with pytest.raises(ValueError, match="a service that is running"):
        RequestLog(path)
    assert [entry.first for entry in read_log(path.with_name("yesterday"))] == [0]
    assert [entry.first for entry in read_log(path)] == [3]
    path.unlink()
    path.write_text("a letter")
    with pytest.raises(OSError, match="another file has taken the place"):
        log.add("a", None, 1, "ff", 200)
    assert path.read_text() == "a letter"
    path.unlink()
    with closing(RequestLog(path)), pytest.raises(OSError, match="a service that is running"):
        log.add("a", None, 1, "ff", 200)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_what_is_no_file_is_no_log(path, kind):
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path = "/dev/zero"
    with pytest.raises(ValueError, match="no file that a log can be kept in"):
        RequestLog(path)


def test_a_second_service_does_not_touch_the_line_that_is_being_written(path):
    with closing(RequestLog(path)):
        path.write_bytes(b'{"time": "20')
        with pytest.raises(ValueError, match="a service that is running"):
            RequestLog(path)
        assert path.read_bytes() == b'{"time": "20'
    RequestLog(path)
    assert path.read_bytes() == b""


def test_a_log_that_was_closed_is_taken_again_with_what_others_added(path):
    log = RequestLog(path)
    log.add("a", None, 3, "ff", 200)
    log.close()
    with pytest.raises(OSError, match=r"was closed; open\(\) takes it again"):
        log.add("a", None, 3, "ff", 200)
    with closing(RequestLog(path)) as other:
        other.add("b", None, 4, "ee", 200)
    log.open()
    log.add("a", None, 1, "dd", 200)
    assert [entry.first for entry in read_log(path)] == [0, 3, 7]


def test_a_folder_that_is_not_there_is_said_at_once(tmp_path):
    with pytest.raises(FileNotFoundError):
        RequestLog(tmp_path / "nowhere" / "requests.jsonl")


def test_without_a_path_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RequestLog(None).add("a", None, 3, "ff", 200)
    assert not os.listdir(tmp_path)


def test_many_threads_write_whole_lines_and_number_without_gaps(path):
    log = RequestLog(path)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: log.add("a", str(number), number % 7 + 1, "f" * 64, 200), range(2_000)))
    entries = read_log(path)
    assert {entry.id for entry in entries} == {str(number) for number in range(2_000)}
    expected = 0
    for entry in entries:
        assert entry.first == expected
        expected += entry.images


def test_a_line_the_disk_does_not_take_leaves_nothing_behind(path):
    """A limit on the size of files stands for a full disk: the first write is cut short, the next one fails."""
    import resource
    import signal

    log = RequestLog(path)
    log.add("a", None, 3, "ff", 200)
    whole = path.read_bytes()
    old_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    old_handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) + 40, old_limit[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            log.add("a", None, 4, "ee", 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old_limit)
        signal.signal(signal.SIGXFSZ, old_handler)
    assert path.read_bytes() == whole
    log.add("a", None, 5, "dd", 200)
    assert [entry.first for entry in read_log(path)] == [0, 3]
