"""`mea arena`: a student's file is judged, a class's table grows, and no key leaves the judge."""

import json

import pytest

from mea_lib.arena import hidden_keys

SECRET = "a secret for tests only"
ENTRY = """
print("not on stdout")

def remove(model, images, scale):
    return model

def defend(train_images, key, scale, seed):
    raise ValueError("no idea")
"""
RUN = ["--data", "digits", "--keys", 1]


@pytest.fixture
def entry(tmp_path):
    (tmp_path / "ada.py").write_text(ENTRY)
    (tmp_path / "secret.txt").write_text(SECRET + "\n")
    (tmp_path / "secret.txt").chmod(0o600)
    return "ada.py"


def test_a_table_grows_beside_the_house(mea, entry, tmp_path):
    secret = ["--secret-file", "secret.txt"]
    first = mea("arena", "run", entry, *RUN, *secret, "--name", "Ada", "--json").data
    assert [trial["model"] for trial in first["trials"]] == ["key 1", "clean 1"]
    by_name = {line["name"]: line for line in first["standings"]}
    assert len(by_name) == 5
    same = ("place", "score", "mark", "points_lost", "wins")
    assert [by_name["Ada"][name] for name in same] == [by_name["house: do nothing"][name] for name in same]
    text = mea("arena", "run", entry, *RUN, *secret, "--discipline", "defence", "--no-house").stdout
    assert "key 1: ValueError: no idea" in text
    shown = mea("arena", "show", "--json").data
    assert shown["removal"] == first["standings"]
    assert [(line["name"], line["place"]) for line in shown["defence"]] == [("ada", None)]
    assert mea("arena", "show").stdout.count("house: ") == 4
    found = (tmp_path / "arena.json").read_text()
    key = hidden_keys(SECRET, 1, tuple("0123456789"))[0]
    assert SECRET not in found + text
    assert json.dumps(key.sources[0]) not in found
    assert '"target"' not in found
    other = mea("arena", "run", entry, *RUN, "--secret", "another secret than before", code=2)
    assert "results of another arena" in other.stderr
    assert json.loads((tmp_path / "arena.json").read_text()) == json.loads(found)


@pytest.mark.parametrize(
    "options, words",
    [
        ([], "either --secret or --secret-file"),
        (["--secret", SECRET, "--secret-file", "secret.txt"], "either --secret or --secret-file"),
        (["--secret", "short"], "5 characters; take at least 16"),
        (["--secret", SECRET, "--keys", 44], "45 pairs"),
        (["--secret", SECRET, "--name", "house: mine"], "the house's own"),
        (["--secret", SECRET, "--points", 0], "points and seconds above 0"),
        (["--secret", SECRET, "--table", "nowhere/arena.json"], "no folder nowhere"),
        (["--secret", SECRET, "--table", "ada.py"], "not a table of an arena"),
        (["--secret", SECRET, "--data", "nothing"], "nothing"),
    ],
)
def test_what_cannot_be_judged(mea, entry, options, words):
    found = mea("arena", "run", entry, "--data", "digits", *options, code=2)
    assert words in found.stderr
    assert found.stdout == ""


def test_the_variable_is_a_place_for_the_secret(mea, entry, monkeypatch):
    monkeypatch.setenv("MEA_ARENA_SECRET", "short")
    assert "5 characters" in mea("arena", "run", entry, *RUN, code=2).stderr


def test_files_that_are_not_there(mea):
    assert "ada.py" in mea("arena", "run", "ada.py", "--secret", SECRET, code=2).stderr
    assert "there is no file arena.json" in mea("arena", "show", code=2).stderr
