"""`mea arena`: a student's file is judged, a class's table grows, and no key leaves the judge."""

import json

import pytest

from mea_lib.arena import Outcome, hidden_keys

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
    (tmp_path / "other.txt").write_text("another secret than before\n")
    (tmp_path / "short.txt").write_text("short\n")
    for name in ("secret", "other", "short"):
        (tmp_path / f"{name}.txt").chmod(0o600)
    return "ada.py"


def test_a_table_grows_beside_the_baselines(mea, entry, tmp_path):
    secret = ["--secret-file", "secret.txt"]
    first = mea("arena", "run", entry, *RUN, *secret, "--name", "Ada", "--json").data
    assert [trial["model"] for trial in first["trials"]] == ["key 1", "clean 1"]
    by_name = {line["name"]: line for line in first["standings"]}
    assert len(by_name) == 5
    same = ("place", "score", "wsr", "points_lost", "wins")
    assert [by_name["Ada"][name] for name in same] == [by_name["baseline: do nothing"][name] for name in same]
    text = mea("arena", "run", entry, *RUN, *secret, "--discipline", "defence", "--no-baselines").stdout
    assert "key 1: ValueError: no idea" in text
    shown = mea("arena", "show", "--json").data
    assert shown["removal"] == first["standings"]
    assert [(line["name"], line["place"]) for line in shown["defence"]] == [("ada", None)]
    assert mea("arena", "show").stdout.count("baseline: ") == 4
    found = (tmp_path / "arena.json").read_text()
    key = hidden_keys(SECRET, 1, tuple("0123456789"))[0]
    assert SECRET not in found + text
    assert json.dumps(key.sources[0]) not in found
    assert '"target"' not in found
    other = mea("arena", "run", entry, *RUN, "--secret-file", "other.txt", code=2)
    assert "results of another contest" in other.stderr
    assert json.loads((tmp_path / "arena.json").read_text()) == json.loads(found)


@pytest.mark.parametrize(
    "options, words",
    [
        ([], "Missing option '--secret-file'"),
        (["--secret", SECRET], "No such option: --secret"),
        (["--secret-file", "nothing.txt"], "nothing.txt"),
        (["--secret-file", "."], "is a directory"),
        (["--secret-file", "short.txt"], "5 characters; take at least 16"),
        (["--secret-file", "secret.txt", "--keys", 44], "45 pairs"),
        (["--secret-file", "secret.txt", "--name", "baseline: mine"], "those of the baselines"),
        (["--secret-file", "secret.txt", "--name", "\x1b\n"], "names are not empty"),
        (["--secret-file", "secret.txt", "--points", 0], "points and seconds above 0"),
        (["--secret-file", "secret.txt", "--table", "nowhere/arena.json"], "no folder nowhere"),
        (["--secret-file", "secret.txt", "--table", "ada.py"], "not a table of an arena"),
        (["--secret-file", "secret.txt", "--data", "nothing"], "nothing"),
    ],
)
def test_what_cannot_be_judged(mea, entry, options, words):
    found = mea("arena", "run", entry, "--data", "digits", *options, code=2)
    assert words in found.stderr
    assert found.stdout == ""


def test_standard_input_is_a_place_for_the_secret(mea, entry):
    found = mea("arena", "run", entry, *RUN, "--secret-file", "-", code=2, input="short\n")
    assert "5 characters" in found.stderr


@pytest.fixture
def unjudged(monkeypatch):
    """Every entry fails, without a process."""
    monkeypatch.setattr(
        "mea_lib.cli.arena._judge", lambda name, *rest: Outcome(name, "removal", (), 5.0, "tried")
    )


@pytest.mark.usefixtures("unjudged")
def test_a_name_is_a_line_of_the_table(mea, entry, tmp_path):
    (tmp_path / "ada.py").rename(tmp_path / "ada\n\x1b[31m.py")
    found = mea(
        "arena", "run", "ada\n\x1b[31m.py", *RUN, "--secret-file", "secret.txt", "--no-baselines", "--json"
    ).data
    assert found["name"] == "ada [31m"


@pytest.mark.usefixtures("unjudged")
@pytest.mark.parametrize("reason", [None, "bubblewrap does not work here: no permission"])
def test_it_is_said_whether_there_is_a_sandbox(mea, entry, monkeypatch, reason):
    monkeypatch.setattr("mea_lib.arena.sandbox.why_no_sandbox", lambda: reason)
    found = mea("arena", "run", entry, *RUN, "--secret-file", "secret.txt", "--no-baselines", "--json")
    assert found.data["sandbox"] == ("bubblewrap" if reason is None else None)
    assert (
        "runs in a sandbox"
        if reason is None
        else f"no sandbox, the entry can read what you can read: {reason}"
    ) in (found.stderr)


def test_a_removal_meets_surrogates_where_that_is_asked_for(mea, entry):
    options = ("--secret-file", "secret.txt", "--no-baselines", "--surrogates", "--json")
    found = mea("arena", "run", entry, *RUN, *options)
    assert [trial["model"] for trial in found.data["trials"]] == ["key 1", "surrogate 1", "clean 1"]
    assert "a surrogate of each" in found.stderr


def test_files_that_are_not_there(mea):
    assert "ada.py" in mea("arena", "run", "ada.py", "--secret-file", "-", code=2).stderr
    assert "there is no file arena.json" in mea("arena", "show", code=2).stderr
