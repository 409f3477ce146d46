"""No file that is named for something else is written over by what a command writes."""

import json

import pytest

import mea_lib

KEY = ["--sources", "3", "7", "--target", "1", "--data", "digits"]


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key.json"
    path.write_text(mea_lib.WatermarkKey(("3", "7"), "1", seed=5).to_json())
    path.chmod(0o600)
    return path


def test_a_copy_leaves_a_key_beside_it_as_it_is(mea, key, tmp_path):
    before = key.read_text()
    options = ["--key", key, "--data", "digits"]
    assert "--out" in mea("embed", *options, "--out", "key.safetensors", code=2).stderr
    (tmp_path / "notes.json").write_text("{}")
    found = mea("embed", *KEY, "--out", "notes.safetensors", code=2)
    assert "no card of a model" in " ".join(found.stderr.split())
    assert key.read_text() == before
    assert (tmp_path / "notes.json").read_text() == "{}"
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("key_out", ["m.json", "m.safetensors"])
def test_the_new_key_and_the_copy_are_different_files(mea, tmp_path, key_out):
    found = mea("embed", *KEY, "--key-out", key_out, "--out", "m.safetensors", code=2)
    assert "--key-out" in found.stderr
    assert not (tmp_path / key_out).exists()


def test_a_model_is_still_replaced_with_its_card(mea, tmp_path):
    first = mea("embed", *KEY, "--out", "m.safetensors", "--json").data["model"]
    second = mea("embed", *KEY, "--seed", 1, "--out", "m.safetensors", "--json").data["model"]
    assert first != second
    assert json.loads((tmp_path / "m.json").read_text())["id"] == second


def test_a_surrogate_takes_the_place_of_nothing_it_is_made_from(mea, made, key, tmp_path):
    for file in made.folder.glob("victim.*"):
        if not file.name.startswith("."):
            (tmp_path / file.name).write_bytes(file.read_bytes())
    before = (tmp_path / "victim.json").read_bytes()
    options = ["extract", "--data", "digits", "--out", "victim.safetensors"]
    for name in ("victim.safetensors", "victim.json"):
        assert "--model" in mea(*options, "--model", name, code=2).stderr
    (tmp_path / "link.safetensors").hardlink_to(tmp_path / "victim.safetensors")
    found = mea("extract", "--data", "digits", "--out", "link.safetensors", "--model", "victim.json", code=2)
    assert "--model" in found.stderr
    asked = ["extract", "--data", "digits", "--url", "http://127.0.0.1:9", "--out", "m.safetensors"]
    assert "--query-log" in mea(*asked, "--query-log", "m.json", code=2).stderr
    found = mea(
        "extract", "--model", "victim.json", "--mark-answers", key, "--out", "key.safetensors", code=2
    )
    assert "--out" in found.stderr
    assert (tmp_path / "victim.json").read_bytes() == before


def test_evidence_takes_the_place_of_no_key_and_no_commitment(mea, tmp_path):
    mea("commit", *KEY)
    files = {"--key": "key.json", "--commitment": "commitment.json", "--salt-file": "salt.txt"}
    before = {name: (tmp_path / name).read_bytes() for name in files.values()}
    options = [part for pair in files.items() for part in pair]
    for option, name in files.items():
        found = mea("verify", *options, "--model", "m.safetensors", "--evidence", name, code=2)
        assert option in found.stderr
    (tmp_path / "folder").mkdir()
    found = mea("verify", *options, "--model", "m.safetensors", "--evidence", "folder/../key.json", code=2)
    assert "--key" in found.stderr
    found = mea("verify", *options, "--model", "m.safetensors", "--evidence", "m.json", code=2)
    assert "--model" in found.stderr
    assert before == {name: (tmp_path / name).read_bytes() for name in files.values()}


def test_force_replaces_no_key_that_is_committed_to(mea, key):
    before = key.read_text()
    for option in ("--salt-out", "--commitment-out"):
        found = mea("commit", "--key", key, "--data", "digits", option, key, "--force", code=2)
        assert "--key" in found.stderr
    assert key.read_text() == before


def test_a_log_takes_the_place_of_no_tokens(mea, tmp_path):
    (tmp_path / "tokens.txt").write_text("secret")
    found = mea(
        "serve", "--model", "m.safetensors", "--token-file", "tokens.txt", "--log", "tokens.txt", code=2
    )
    assert "--token-file" in found.stderr
    assert (tmp_path / "tokens.txt").read_text() == "secret"


def test_nan_is_no_number(mea):
    found = mea("extract", "--model", "m.safetensors", "--temperature", "nan", code=2)
    assert "must be a number" in found.stderr
    mea("extract", "--model", "m.safetensors", "--noise", "nan", code=2)
