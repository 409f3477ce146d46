"""The query log: what it keeps, what it refuses to be, and what can be checked by others."""

import hashlib
import json
import sqlite3
import struct
import threading

import pytest
import torch

from mea_lib.data.parties import image_digests
from mea_lib.serving import QueryLog

SUSPECT = {"url": "http://a", "model": "m", "version": None}
KEYS = [bytes([number]) * 32 for number in range(4)]
ANSWERS = torch.tensor([[0.1, 0.9], [1 / 3, 2 / 3], [1.0, 0.0], [0.5, 0.5]])


def test_answers_come_back_bit_for_bit_from_another_object(tmp_path):
    QueryLog(tmp_path / "log", SUSPECT).record(KEYS, ANSWERS, [None, None, "too slow", None])
    log = QueryLog(tmp_path / "log", SUSPECT)
    found = log.find(KEYS)
    assert set(found) == {KEYS[0], KEYS[1], KEYS[3]}
    assert all(torch.equal(found[key], ANSWERS[KEYS.index(key)]) for key in found)
    assert (len(log), log.width()) == (3, 2)
    assert [entry["reason"] for entry in log.entries()] == [None, None, "too slow", None]


def test_the_first_answer_stays_and_a_missing_one_can_come(tmp_path):
    log = QueryLog(tmp_path / "log", SUSPECT)
    log.record(KEYS[:1], ANSWERS[:1], ["too slow"])
    log.record(KEYS[:1], ANSWERS[:1], [None])
    log.record(KEYS[:1], ANSWERS[1:2], [None])
    assert torch.equal(log.find(KEYS)[KEYS[0]], ANSWERS[0])
    assert [entry["reason"] for entry in log.entries()] == ["too slow", None]


def test_a_batch_is_kept_whole_or_not_at_all(tmp_path):
    log = QueryLog(tmp_path / "log", SUSPECT)
    with pytest.raises(sqlite3.IntegrityError):
        log._file.execute("BEGIN"), log._file.execute("INSERT INTO entries (image) VALUES (NULL)")
    log._file.execute("ROLLBACK")
    with pytest.raises(ValueError, match="zip"):
        log.record(KEYS, ANSWERS[:3], [None] * 4)
    assert len(log) == 0


def test_keys_are_the_hashes_anybody_can_make():
    images = torch.arange(2 * 3 * 4 * 5).to(torch.uint8).view(2, 3, 4, 5)
    expected = [hashlib.sha256(bytes(image.reshape(-1).tolist())).digest() for image in images]
    assert image_digests(images) == expected
    turned = images.contiguous(memory_format=torch.channels_last)
    assert image_digests(turned) == expected


def test_the_exported_file_bears_out_its_digest(tmp_path):
    log = QueryLog(tmp_path / "log", SUSPECT)
    log.record(KEYS, ANSWERS, [None, None, "too slow", None])
    log.export(tmp_path / "log.json")
    written = json.loads((tmp_path / "log.json").read_text())
    chain = hashlib.sha256(json.dumps(written["suspect"], sort_keys=True).encode()).digest()
    for entry in written["entries"]:
        answer = b"".join(struct.pack("<f", number) for number in entry["answer"] or ())
        said = json.dumps([entry["reason"], entry["asked"]]).encode()
        parts = (chain, bytes.fromhex(entry["image"]), struct.pack("<I", len(answer)), answer, said)
        chain = hashlib.sha256(b"".join(parts)).digest()
        assert chain.hex() == entry["chain"]
    assert chain.hex() == written["digest"] == log.digest()
    assert torch.equal(torch.tensor(written["entries"][1]["answer"]), ANSWERS[1])
    assert list(tmp_path.glob("*.partial")) == []
    log.record([b"x" * 32], ANSWERS[:1], [None])
    assert log.digest() != written["digest"]


def test_the_span_is_from_the_first_question_to_the_last(tmp_path):
    log = QueryLog(None, SUSPECT)
    assert log.span() is log.width() is None
    log.record(KEYS[:2], ANSWERS[:2], [None, None])
    log.record(KEYS[2:], ANSWERS[2:], [None, "too slow"])
    times = [entry["asked"] for entry in log.entries()]
    assert log.span() == (times[0], times[-1])


@pytest.mark.parametrize(
    "content", [b"no database at all, just text", b"SQLite format 3\x00" + b"\xff" * 200]
)
def test_a_file_that_is_no_log(tmp_path, content):
    (tmp_path / "log").write_bytes(content)
    with pytest.raises(ValueError, match=r"log is not a query log"):
        QueryLog(tmp_path / "log", SUSPECT)
    assert (tmp_path / "log").read_bytes() == content


def test_another_programs_database_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / "log") as other:
        other.execute("CREATE TABLE things (x)")
    before = (tmp_path / "log").read_bytes()
    with pytest.raises(ValueError, match="another program's"):
        QueryLog(tmp_path / "log", SUSPECT)
    assert (tmp_path / "log").read_bytes() == before


def test_another_suspects_log_is_refused(tmp_path):
    QueryLog(tmp_path / "log", SUSPECT)
    with pytest.raises(ValueError, match=r"url is 'http://a', not 'http://b'; name another file"):
        QueryLog(tmp_path / "log", SUSPECT | {"url": "http://b"})
    assert len(QueryLog(tmp_path / "log", SUSPECT)) == 0


def test_a_place_where_no_file_can_be(tmp_path):
    with pytest.raises(OSError, match="cannot be used as a query log"):
        QueryLog(tmp_path / "missing" / "log", SUSPECT)
    with pytest.raises(OSError, match="cannot be used as a query log"):
        QueryLog(tmp_path, SUSPECT)


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE entries SET answer = (SELECT answer FROM entries WHERE number = 1) WHERE number = 2",
        "UPDATE entries SET asked = '2020-01-01T00:00:00.000+00:00' WHERE number = 1",
        "UPDATE entries SET reason = 'busy' WHERE number = 3",
        "UPDATE entries SET image = x'00' WHERE number = 4",
        "DELETE FROM entries WHERE number = 1",
        "DELETE FROM entries WHERE number = 4",
        "DELETE FROM entries",
        "UPDATE entries SET number = 9 WHERE number = 2",
        "INSERT INTO entries SELECT 9, image, NULL, 'busy', asked, chain FROM entries WHERE number = 4",
        "UPDATE suspect SET identity = replace(identity, 'http://a', 'http://b')",
    ],
)
def test_a_log_that_was_edited_is_noticed(tmp_path, edit):
    log = QueryLog(tmp_path / "log", SUSPECT)
    log.record(KEYS, ANSWERS, [None, None, "too slow", None])
    QueryLog(tmp_path / "log", SUSPECT)
    log._file.execute(edit)
    log._file.close()
    with pytest.raises(ValueError, match=r"is not as it was written.*name another file"):
        QueryLog(tmp_path / "log", SUSPECT)


def test_a_log_of_an_older_version_is_refused(tmp_path):
    log = QueryLog(tmp_path / "log", SUSPECT)
    log._file.execute("PRAGMA user_version = 1")
    with pytest.raises(
        ValueError, match=r"of version 1, and this program writes version 2.*name another file"
    ):
        QueryLog(tmp_path / "log", SUSPECT)


def test_what_was_answered_before_a_log_was_opened_is_told_from_what_came_since(tmp_path):
    first = QueryLog(tmp_path / "log", SUSPECT)
    first.record(KEYS[:2], ANSWERS[:2], [None, "busy"])
    assert first.older(KEYS) == []
    second = QueryLog(tmp_path / "log", SUSPECT)
    first.record(KEYS[1:], ANSWERS[1:], [None] * 3)
    assert second.older(KEYS) == [KEYS[0]]
    assert len(second.find(KEYS)) == 4
    assert second.digest() == first.digest()


def test_a_log_keeps_others_away_under_whatever_name(tmp_path):
    path, link = tmp_path / "log", tmp_path / "link"
    first = QueryLog(path, SUSPECT)
    link.symlink_to(path)
    second = QueryLog(link, SUSPECT)
    done = []

    def wait():
        with second.alone():
            done.append("second")

    with first.alone():
        thread = threading.Thread(target=wait)
        thread.start()
        thread.join(0.3)
        done.append("first")
    thread.join(60)
    assert done == ["first", "second"]
