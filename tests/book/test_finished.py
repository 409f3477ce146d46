"""A finished chapter is a whole one."""

import chapters
import pytest
from finished import Finished


@pytest.fixture
def finished(tmp_path):
    return publish(tmp_path, "of this")


def publish(tmp_path, digest):
    (tmp_path / "executed").write_text(f"notebook {digest}")
    (tmp_path / "claimed").write_text('[{"id": "00-a"}]')
    finished = Finished(tmp_path / "out", "00_a")
    finished.publish(tmp_path / "executed", tmp_path / "claimed", digest, "laptop", 12.5)
    return finished


def test_what_was_published_is_found_again(finished):
    assert finished.is_of("of this")
    assert not finished.is_of("of that")
    assert finished.read_claims() == [{"id": "00-a"}]
    assert finished.read_stamp()["seconds"] == 12.5


@pytest.mark.parametrize("name", ["notebook", "claims", "stamp"])
@pytest.mark.parametrize("harm", ["missing", "half", "of another run"])
def test_a_torn_set_is_not_taken_for_a_finished_one(finished, name, harm):
    file = getattr(finished, name)
    if harm == "missing":
        file.unlink()
    else:
        file.write_text(file.read_text()[:5] if harm == "half" else "[]")
    assert not finished.is_of("of this")


def test_a_chapter_that_another_process_replaced_is_named(finished, tmp_path):
    digests = {"00_a": "of this", "01_failed": None}
    assert chapters.overtaken(tmp_path / "out", digests) == []
    publish(tmp_path, "another scale")
    assert chapters.overtaken(tmp_path / "out", digests) == ["00_a"]
