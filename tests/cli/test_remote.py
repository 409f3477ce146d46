"""`--url`: suspects and victims behind HTTP, seen from a server that follows a script."""

import json
import sys
from pathlib import Path

import pytest
import torch

import mea_lib
from mea_lib.cli.models import find_model, load_model

sys.path.insert(0, str(Path(__file__).parent.parent / "blackbox"))

import fake_server as fake

FEW = ["--samples", 100, "--fewest-samples", 100, "--data", "digits"]


@pytest.fixture
def suspect():
    with fake.serving() as suspect:
        yield suspect


@pytest.fixture
def answers_as(made):
    """Let a suspect answer as one of the models made, `change` applied to its answers."""

    def behave(name, change=lambda answers: answers):
        oracle = mea_lib.Oracle(load_model(find_model(str(made.folder / f"{name}.safetensors"))))
        return lambda handler, images: handler.reply(
            200, fake.tensors(change(oracle(torch.from_numpy(images))).numpy())
        )

    return behave


@pytest.fixture
def verify(mea, made, suspect):
    def run(*options, url=None, **kwargs):
        known = ["--url", url or suspect.url, "--key", made.folder / "key.json"]
        return mea("verify", *known, *FEW, *options, **kwargs)

    return run


def test_a_copy_behind_http_is_found(verify, suspect, answers_as, tmp_path):
    suspect.always = answers_as("copy")
    found = verify("--evidence", "evidence.json", "--json").data
    assert found["is_stolen"]
    assert found["suspect"]["url"] == suspect.url
    assert found == json.loads((tmp_path / "evidence.json").read_text())


def test_another_model_behind_http_is_not(verify, suspect, answers_as):
    suspect.always = answers_as("other")
    verify(code=3)


def test_silence_is_no_verdict(verify, suspect, tmp_path):
    suspect.always = fake.status(403, "not you")
    found = verify("--evidence", "evidence.json", "--json", code=4).data
    assert (found["is_decided"], found["answered"], found["asked"]) == (False, 0, 100)
    assert json.loads((tmp_path / "evidence.json").read_text()) == found


def test_the_log_answers_what_was_asked_before(verify, suspect, answers_as):
    suspect.always = answers_as("copy")
    first = verify("--query-log", "log.sqlite", "--json").data
    suspect.always = fake.status(500)
    second = verify("--query-log", "log.sqlite", "--json").data
    assert first["suspect"]["sent"] > 100
    assert second["suspect"]["sent"] == 0
    assert second["wsr"] == first["wsr"]


def test_a_file_that_is_no_log_is_a_usage_error(verify, tmp_path):
    (tmp_path / "log.sqlite").write_text("something else, and long enough to be read as a file of some kind")
    assert "not a query log" in verify("--query-log", "log.sqlite", code=2).stderr


def test_the_token_of_the_variable_is_shown_to_the_server_alone(verify, suspect, answers_as, monkeypatch):
    monkeypatch.setenv("MEA_TOKEN", "secret-of-mine")
    suspect.always = answers_as("copy")
    found = verify("--json")
    assert suspect.headers[-1]["Authorization"] == "Bearer secret-of-mine"
    assert "secret-of-mine" not in found.stdout + found.stderr


def test_which_model_and_how_it_is_asked(verify, suspect, answers_as):
    suspect.models = ["digits", "letters"]
    found = verify(code=2)
    assert "digits, letters" in found.stderr
    assert "--server" in found.stderr
    suspect.always = answers_as("copy")
    verify("--server", "model=digits", "--server", "batch_size=7")
    assert max(suspect.batches) == 7


@pytest.mark.parametrize(
    "setting, words",
    [
        ("digits", "'digits' is not NAME=VALUE"),
        ("colour=red", "input_range"),
        ("classes=ten", "'classes=ten' cannot be read"),
        ("input_range=1", "a comma between them"),
        ("batch_size=0", "batch_size must be at least 1"),
    ],
)
def test_a_setting_that_is_none(verify, setting, words):
    found = verify("--server", setting, code=2)
    assert words in found.stderr
    assert found.stdout == ""


def test_every_setting_is_known_to_the_oracle():
    import inspect

    from mea_lib.blackbox.remote import RemoteOracle
    from mea_lib.cli.server import SETTINGS

    own = {"url", "token", "budget", "log", "on_failure", "trust_env"}
    assert set(SETTINGS) == set(inspect.signature(RemoteOracle).parameters) - own


def test_nobody_there_is_one_sentence(verify):
    found = verify("--server", "attempts=1", url="http://127.0.0.1:9", code=1)
    assert found.stderr.startswith("Error: http://127.0.0.1:9")
    assert len(found.stderr.strip().splitlines()) == 1
    assert found.stdout == ""


@pytest.fixture
def extract(mea, suspect):
    def run(*options, **kwargs):
        return mea("extract", "--url", suspect.url, "--data", "digits", *options, **kwargs)

    return run


def test_a_thief_learns_the_same_over_http_as_at_home(mea, extract, suspect, answers_as, made):
    suspect.always = answers_as("victim")
    remote = extract("--budget", 200, "--json").data
    local = mea("extract", "--model", made.embed["out"], "--data", "digits", "--budget", 200, "--json").data
    assert remote["queries"] == sum(suspect.batches) == 200
    # JSON keeps every digit of a float32, so the students are one.
    assert remote["model"] == local["model"]
    assert remote["victim"] == suspect.url
    assert remote["answers_marked"] is None  # Only the owner of the server knows.


def test_a_thief_goes_on_where_he_was(extract, suspect, answers_as):
    suspect.script = [answers_as("victim")] * 2
    suspect.always = fake.status(403)
    extract("--budget", 200, "--query-log", "log.sqlite", code=1)
    asked = sum(suspect.batches[:2])
    suspect.always = answers_as("victim")
    found = extract("--budget", 200, "--query-log", "log.sqlite", "--json").data
    assert found["queries"] == 200 - asked


def test_logits_are_not_taken_for_probabilities(extract, verify, suspect, answers_as):
    suspect.always = answers_as("copy", lambda answers: answers.log())
    assert "no probabilities" in extract("--budget", 50, code=1).stderr
    verify()
