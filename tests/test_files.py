"""Files that several processes want: whole, never mixed, never lost."""

import errno
import os
import stat
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from filelock import FileLock

from mea_lib import files
from mea_lib.files import NewFile, read_file, read_json, read_text, write_together, write_whole

NAMES = ("key", "salt", "commitment")


def own_set(folder, number, size=1):
    return [NewFile(folder / name, f"{name} of {number}" * size) for name in NAMES]


def owners(folder):
    """Whose files are there, by name."""
    return {path.name: path.read_text().split()[-1] for path in folder.iterdir() if path.name in NAMES}


def no_litter(folder):
    return not list(folder.glob("*.partial"))


def test_threads_that_write_one_file_do_not_meet(tmp_path):
    contents = [bytes([65 + number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_whole(tmp_path / "file", content), contents * 10))
    assert (tmp_path / "file").read_bytes() in contents
    assert os.listdir(tmp_path) == ["file"]


def test_processes_with_equal_numbers_do_not_meet(tmp_path, at_once, monkeypatch):
    """As in two containers that share a folder."""
    monkeypatch.setattr(os, "getpid", lambda: 1)

    def write(number, together):
        together.wait()
        for _ in range(30):
            write_whole(tmp_path / "file", f"{number}" * 100_000)

    at_once(write, 4)
    assert len(set((tmp_path / "file").read_text())) == 1
    assert os.listdir(tmp_path) == ["file"]


def test_the_mode_is_there_from_the_beginning(tmp_path):
    write_whole(tmp_path / "secret", "s", 0o600)
    write_whole(tmp_path / "usual", "u")
    (tmp_path / "made").touch()
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes["secret"] == 0o600
    assert modes["usual"] == modes["made"]


def test_a_file_that_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("old")

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as raised:
        write_whole(tmp_path / "file", "new")
    assert raised.value.filename == str(tmp_path / "file")
    with pytest.raises(OSError, match="No space"):
        write_together(own_set(tmp_path, 1))
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


@pytest.mark.parametrize("mask", [0o022, 0o077])
def test_in_a_folder_of_a_group_locks_are_the_groups(tmp_path, mask):
    tmp_path.chmod(0o2770)
    before = os.umask(mask)
    try:
        write_together(own_set(tmp_path, 1))
        write_whole(tmp_path / "given", "g", 0o660)
    finally:
        os.umask(before)
    locks = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob(".*.lock")}
    assert locks == {0o660} == {stat.S_IMODE((tmp_path / "given").stat().st_mode)}


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_of_several_sets_one_is_written_and_the_others_leave_nothing(tmp_path, at_once, monkeypatch, links):
    def no_links(*names):
        raise OSError(errno.EPERM, "Operation not permitted")

    if not links:
        monkeypatch.setattr(os, "link", no_links)

    def write(number, together):
        together.wait()
        try:
            write_together(own_set(tmp_path, number))
        except FileExistsError as error:
            return str(error)
        return "written"

    said = at_once(write, 6)
    assert said.count("written") == 1
    assert {words for words in said if words != "written"} == {
        f"{tmp_path / 'key'} is there already and holds something else"
    }
    assert owners(tmp_path) == dict.fromkeys(NAMES, str(said.index("written")))
    assert no_litter(tmp_path)


def test_a_name_that_is_taken_late_takes_the_others_back(tmp_path):
    (tmp_path / "commitment").write_text("commitment of 7")
    with pytest.raises(FileExistsError, match="commitment is there already"):
        write_together(own_set(tmp_path, 1))
    assert owners(tmp_path) == {"commitment": "7"}


def test_a_file_that_holds_the_same_stays(tmp_path):
    write_together(own_set(tmp_path, 1)[:1])
    before = (tmp_path / "key").stat()
    write_together(own_set(tmp_path, 1))
    after = (tmp_path / "key").stat()  # which has been read meanwhile
    assert (after.st_ino, after.st_mtime_ns, after.st_nlink) == (before.st_ino, before.st_mtime_ns, 1)
    with pytest.raises(FileExistsError):
        write_together([*own_set(tmp_path, 1)[:1], *own_set(tmp_path, 2)[1:]])
    assert owners(tmp_path) == dict.fromkeys(NAMES, "1")


def test_sets_that_replace_each_other_are_never_mixed(tmp_path, at_once):
    def write(number, together):
        together.wait()
        for _ in range(5):
            write_together(own_set(tmp_path, number), replace=True)

    for _ in range(2):
        at_once(write, 4)
        assert len(set(owners(tmp_path).values())) == 1
    assert no_litter(tmp_path)


def test_a_set_that_is_replaced_is_none_until_it_is_whole(tmp_path, monkeypatch):
    """Whoever is killed in between leaves files without the last one, and never those of two sets."""
    write_together(own_set(tmp_path, 1))
    replaced = []

    def die(source, target):
        replaced.append(target)
        if len(replaced) == 2:
            raise KeyboardInterrupt
        original(source, target)

    original = os.replace
    monkeypatch.setattr(os, "replace", die)
    with pytest.raises(KeyboardInterrupt):
        write_together(own_set(tmp_path, 2), replace=True)
    assert owners(tmp_path) == {"key": "2", "salt": "1"}
    assert no_litter(tmp_path)


def test_what_is_read_is_an_ordinary_file(tmp_path):
    (tmp_path / "file").write_text("{}")
    (tmp_path / "link").symlink_to("file")
    assert read_json(tmp_path / "link") == {}
    os.mkfifo(tmp_path / "fifo")
    for path, kind in ((tmp_path, "a folder"), (tmp_path / "fifo", "a FIFO"), ("/dev/zero", "a device")):
        for read in (read_file, read_text, read_json):
            with pytest.raises(ValueError, match=f"{path} is {kind} and not an ordinary file"):
                read(path)
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "none")


def test_a_fifo_that_takes_a_files_place_keeps_nobody_waiting(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.touch()
    was = path.stat()
    path.unlink()
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda *_, **__: was)
    with pytest.raises(ValueError, match="a FIFO"):
        read_file(path)


def test_errors_about_a_files_content_name_it(tmp_path):
    path = tmp_path / "file"
    for content, words in (
        (b"\xff", "is not text in UTF-8"),
        (b"{", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"12345", "has 5 bytes, and at most 4 are read"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=f"{path} {words}"):
            read_json(path, 4 if len(content) == 5 else 2**20)


def test_who_waits_long_for_another_process_is_told(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(files, "WAIT_SECONDS", 0.05)
    path = tmp_path / "one.lock"
    taken = threading.Event()

    def another():
        with FileLock(path):
            taken.set()
            time.sleep(0.4)

    threading.Thread(target=another).start()
    taken.wait()
    with files.waited_for(FileLock(path), "training a model"):
        assert caplog.messages == ["another process is training a model; waiting for it"]
    with files.waited_for(FileLock(path), "training a model"):
        pass
    assert len(caplog.messages) == 1
