"""`--url`: suspects and victims behind HTTP, seen from a server that follows a script."""

import json
import sys
from pathlib import Path

import pytest
import torch

import mea_lib
from mea_lib.cli.models import find_model, load_model

sys.path.insert(0, str(Path(__file__).parent.parent / "serving"))

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


def test_a_surrogate_behind_http_is_found_with_the_token_of_the_variable(
    verify, suspect, answers_as, tmp_path, monkeypatch
):
    monkeypatch.setenv("MEA_TOKEN", "secret-of-mine")
    suspect.always = answers_as("copy")
    found = verify("--evidence", "evidence.json", "--json")
    assert found.data["is_stolen"]
    assert found.data["suspect"]["url"] == suspect.url
    assert found.data == json.loads((tmp_path / "evidence.json").read_text())
    assert suspect.headers[-1]["Authorization"] == "Bearer secret-of-mine"
    assert "secret-of-mine" not in found.stdout + found.stderr


def test_silence_is_no_verdict(verify, suspect, tmp_path):
    suspect.always = fake.status(403, "not you")
    found = verify("--evidence", "evidence.json", "--json", code=4).data
    assert (found["is_decided"], found["answered"]) == (False, 0)
    assert found["verdict"] == "no verdict: only 0 of 200 clean images were answered (status 403)"
    assert json.loads((tmp_path / "evidence.json").read_text()) == found


def test_a_log_answers_what_was_asked_before_and_is_of_one_key_and_suspect(
    verify, suspect, answers_as, made, tmp_path, mea
):
    log = ["--query-log", "log.sqlite"]
    suspect.always = answers_as("copy")
    first = verify(*log, "--json").data
    suspect.always = fake.status(403)
    second = verify(*log, "--json").data
    assert first["suspect"]["sent"] > 100
    assert first["suspect"]["from_log"] == 0
    assert (second["suspect"]["sent"], second["suspect"]["queries_now"]) == (0, 0)
    assert second["suspect"]["from_log"] == first["suspect"]["queries_now"]
    assert second["suspect"]["log_check"].startswith("not done")
    assert second["wsr"] == first["wsr"]
    suspect.always = answers_as("other")
    found = verify(*log, code=1)
    assert "not this suspect's any more" in found.stderr
    assert found.stdout == ""
    key = json.loads((made.folder / "key.json").read_text()) | {"seed": 6}
    (tmp_path / "other.json").write_text(json.dumps(key))
    options = ["--url", suspect.url, "--key", "other.json", *FEW, *log]
    assert "purpose is 'verify" in mea("verify", *options, code=2).stderr
    (tmp_path / "log.sqlite").write_text("something else, and long enough to be read as a file of some kind")
    assert "not a query log" in verify(*log, code=2).stderr


def test_names_of_classes_are_compared_and_put_in_order(verify, extract, suspect, answers_as):
    turned = [*range(1, 10), 0]
    suspect.metadata = fake.METADATA | {"parameters": {"classes": [str(label) for label in turned]}}
    suspect.always = answers_as("copy", lambda answers: answers[:, turned])
    assert verify("--json").data["wsr"]["value"] > 0.5
    turned_surrogate = extract("--budget", 60, "--json").data
    suspect.metadata = fake.METADATA | {"parameters": {"classes": [str(label) for label in range(10)]}}
    suspect.always = answers_as("copy")
    assert extract("--budget", 60, "--json").data["model"] == turned_surrogate["model"]
    suspect.metadata = fake.METADATA | {"parameters": {"classes": [f"class {label}" for label in turned]}}
    found = verify(code=2)
    assert "the suspect's classes are class 1, class 2" in found.stderr
    assert "expected were 0, 1" in found.stderr
    assert extract("--budget", 60, "--json").data["accuracy"] is None
    suspect.metadata = fake.METADATA | {"parameters": {"classes": ["a", "b"]}}
    assert "10 classes, 2 names" in verify(code=2).stderr


def test_how_a_suspect_behind_http_is_asked(verify, suspect, answers_as):
    suspect.models = ["digits", "letters"]
    found = verify(code=2)
    assert "digits, letters" in found.stderr
    assert "--server" in found.stderr
    suspect.metadata = fake.METADATA | {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 1, 16, 16]}]
    }
    behave = answers_as("copy", lambda answers: answers.log())
    suspect.always = lambda handler, pixels: behave(handler, (pixels * 51 + 51).round().astype("uint8"))
    which = ["--server", "model=digits", "--server", "batch_size=7"]
    assert "input_range=(0, 1)" in verify(*which, code=2).stderr
    how = ["mean=0.2", "std=0.2", "answers=log-probabilities"]
    verify(*which, *(part for one in how for part in ("--suspect", one)))
    assert max(suspect.batches) == 7


def test_proxies_of_the_environment_are_for_other_machines_unless_it_is_said(
    verify, suspect, answers_as, monkeypatch
):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    suspect.always = answers_as("other")
    verify(code=3)  # a model that nobody has stolen, too
    found = verify("--server", "trust_env=yes", "--server", "attempts=1", code=1)
    assert "cannot be reached" in found.stderr


def test_the_environment_is_asked_for_proxies_and_certificates(mea, made, monkeypatch):
    """As curl and pip do; a name that nobody resolves is left to the proxy."""
    with fake.serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        known = ["--url", "http://suspect.invalid", "--key", made.folder / "key.json", *FEW]
        mea("verify", *known, code=2)
        assert any(path.startswith("http://suspect.invalid/") for path in proxy.paths)
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent.pem")
    known[1] = "https://suspect.invalid"
    assert "SSL_CERT_FILE" in mea("verify", *known, code=2).stderr


@pytest.mark.parametrize(
    "option, setting, words",
    [
        ("--server", "digits", "'digits' is not NAME=VALUE"),
        ("--server", "colour=red", "input_name"),
        ("--server", "timeout=ten", "'timeout=ten' cannot be read"),
        ("--server", "trust_env=1", "yes or no"),
        ("--server", "input_range=0,1", "input_range is said with --suspect"),
        ("--server", "batch_size=0", "batch_size must be at least 1"),
        ("--suspect", "colour=red", "channel_order"),
        ("--suspect", "input_range=1", "a comma between them"),
        ("--suspect", "mean=a", "'mean=a' cannot be read"),
        ("--suspect", "layout=middle", "first, last"),
        ("--suspect", "answers=odds", "log-probabilities"),
        ("--suspect", "timeout=3", "timeout is said with --server"),
        ("--suspect", "network=resnet18", "not NAME=VALUE with one of the names input_range"),
    ],
)
def test_a_setting_that_is_none(verify, option, setting, words):
    found = verify(option, setting, code=2)
    assert words in found.stderr
    assert found.stdout == ""


def test_every_setting_is_known_to_the_oracle():
    import inspect

    from mea_lib.blackbox import AnswerFormat, Pixels, as_suspect
    from mea_lib.cli.settings import (
        ANSWER_SETTINGS,
        FILE_SETTINGS,
        PIXEL_SETTINGS,
        SERVER_SETTINGS,
        SUSPECT_SETTINGS,
    )
    from mea_lib.serving.remote import RemoteOracle

    own = {"url", "token", "budget", "log", "on_failure", "purpose"}
    both = set(SUSPECT_SETTINGS)
    assert set(SERVER_SETTINGS) | both == set(inspect.signature(RemoteOracle).parameters) - own
    assert set(PIXEL_SETTINGS) == set(inspect.signature(Pixels).parameters)
    assert set(ANSWER_SETTINGS) == set(inspect.signature(AnswerFormat).parameters) - {"kind", "number"} | {
        "answers"
    }
    bundles = {"pixels", "answers"}
    assert set(inspect.signature(as_suspect).parameters) == {
        "model",
        "batch_size",
        "classes",
        *bundles,
        *FILE_SETTINGS,
    }


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
    # JSON keeps every digit of a float32, so the surrogates are one.
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
    assert found["queries"] == 200 - asked + 8  # the log's answers are made sure of first


def test_logits_are_not_taken_for_probabilities(extract, verify, suspect, answers_as):
    suspect.always = answers_as("copy", lambda answers: answers.log())
    assert "no probabilities" in extract("--budget", 50, code=1).stderr
    verify()
