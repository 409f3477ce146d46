"""`mea store`: what is there, whether it is sound, and what is removed."""

import errno
import json
import os

import pytest

from mea_lib.models import Input, build
from mea_lib.training import current_store

SPEC = {"classes": 3, "inputs": Input(1, 16, (0.0,), (1.0,)), "width": 1}


@pytest.fixture
def two():
    """Ids of two models in the store."""
    recipes = [{"method": "test", "scale": "smoke", "training": {"seed": seed}} for seed in (1, 2)]
    return [
        current_store().fetch(recipe, lambda: build("nine_layer_cnn", **SPEC)).card["id"]
        for recipe in recipes
    ]


def test_an_empty_store_is_no_error(mea):
    assert "No models in" in mea("store", "list").stdout
    assert mea("store", "list", "--json").data["models"] == []
    assert "0 of 0" in mea("store", "verify").stdout


def test_the_list_has_a_line_for_each(mea, two):
    lines = mea("store", "list").stdout.splitlines()
    assert lines[0].split()[:3] == ["id", "method", "network"]
    assert {line.split()[0] for line in lines[1:]} == set(two)
    models = {model["id"]: model for model in mea("store", "list", "--json").data["models"]}
    for seed, identity in enumerate(two, 1):
        assert models[identity]["seed"] == seed
        sizes = [
            (current_store().root / f"{identity}.{end}").stat().st_size for end in ("json", "safetensors")
        ]
        assert models[identity]["bytes"] == sum(sizes)


def test_a_damaged_card_is_named_and_passed_over(mea, two):
    (current_store().root / f"{two[0]}.json").write_text("{")
    found = mea("store", "list", "--json")
    assert [model["id"] for model in found.data["models"]] == [two[1]]
    assert found.data["damaged"] == [two[0]]
    assert two[0] in found.stderr


def test_a_card_is_shown_as_it_is(mea, two):
    card = json.loads((current_store().root / f"{two[0]}.json").read_text())
    assert mea("store", "show", two[0], "--json").data == card
    assert json.loads(mea("store", "show", two[0]).stdout) == card


def test_the_path_is_for_other_programs(mea, two):
    assert mea("store", "path", two[1]).stdout == f"{current_store().root / two[1]}.safetensors\n"


def test_only_damaged_weights_fail_the_check(mea, two):
    assert mea("store", "verify", "--json").data["sound"] == sorted(two)
    path = current_store().root / f"{two[0]}.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    found = mea("store", "verify", "--json", code=1)
    assert found.data["sound"] == [two[1]]
    assert list(found.data["damaged"]) == [two[0]]
    assert two[0] in found.stderr
    mea("store", "verify", two[1])
    assert path.exists()


def test_weights_that_are_gone_fail_the_check(mea, two):
    (current_store().root / f"{two[0]}.safetensors").unlink()
    assert list(mea("store", "verify", "--json", code=1).data["damaged"]) == [two[0]]


def test_files_of_two_ids_that_were_swapped_are_neither(mea, two):
    for ending in ("json", "safetensors"):
        first, second = (current_store().root / f"{identity}.{ending}" for identity in two)
        first.rename(first.with_suffix(".swap"))
        second.rename(first)
        first.with_suffix(".swap").rename(second)
    assert set(mea("store", "verify", "--json", code=1).data["damaged"]) == set(two)
    said = mea("store", "show", two[0], code=1).stderr
    assert f"{two[0]}.json is the card of the model {two[1]}" in said


def test_a_card_that_was_altered_fails_the_check(mea, two):
    path = current_store().root / f"{two[0]}.json"
    path.write_text(path.read_text().replace('"smoke"', '"paper"'))
    assert list(mea("store", "verify", "--json", code=1).data["damaged"]) == [two[0]]


def test_what_cannot_be_read_is_not_called_damaged(mea, two, monkeypatch):
    def denied(path, *arguments):
        if str(path).endswith((f"{two[0]}.safetensors", f"{two[1]}.json")):
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, *arguments)

    opened = os.open
    monkeypatch.setattr(os, "open", denied)
    found = mea("store", "verify", "--json", code=1)
    assert (found.data["sound"], found.data["damaged"]) == ([], {})
    assert f"{two[0]}.safetensors" in found.data["unreadable"][two[0]]
    assert f"{two[1]}.json" in found.data["unreadable"][two[1]]
    listed = mea("store", "list", "--json").data
    assert [model["id"] for model in listed["models"]] == [two[0]]
    assert (listed["damaged"], listed["unreadable"]) == ([], [two[1]])


def test_the_folders_of_the_store_are_one_list(mea, two, tmp_path, monkeypatch):
    monkeypatch.setenv("MEA_STORE", f"{tmp_path / 'own'}{os.pathsep}{tmp_path / 'store'}")
    found = mea("store", "list", "--json").data
    assert found["folders"] == [str(tmp_path / "own"), str(tmp_path / "store")]
    assert {model["folder"] for model in found["models"]} == {str(tmp_path / "store")}
    assert mea("store", "path", two[1]).stdout == f"{tmp_path / 'store' / two[1]}.safetensors\n"
    mea("store", "remove", two[1], "--yes")
    assert sorted(mea("store", "verify", "--json").data["sound"]) == [two[0]]


def test_removal_asks_first(shell, two):
    found = shell("store", "remove", two[0], input="n\n", code=1)
    assert "Remove 1 of 2 models?" in found.stderr
    assert found.stdout == ""
    assert len(current_store().cards()) == 2
    shell("store", "remove", two[0], input="y\n")
    assert [card["id"] for card in current_store().cards()] == [two[1]]


def test_removal_without_anybody_to_ask(shell, two):
    """No terminal and no input: nothing is removed."""
    import subprocess

    found = shell("store", "remove", two[0], stdin=subprocess.DEVNULL, code=1)
    assert "Traceback" not in found.stderr
    assert len(current_store().cards()) == 2


def test_yes_does_not_ask(mea, two):
    found = mea("store", "remove", *two, two[0], "--yes", "--json").data
    assert found["removed"] == two
    assert found["bytes"] > 0
    assert {path.suffix for path in current_store().root.iterdir()} == {".lock"}


def test_a_damaged_model_can_be_removed(mea, two):
    (current_store().root / f"{two[0]}.json").write_text("{")
    (current_store().root / f"{two[0]}.safetensors").unlink()
    mea("store", "remove", two[0], "--yes")
    assert len(current_store().cards()) == 1
    assert mea("store", "list", "--json").data["damaged"] == []


def test_one_wrong_name_removes_nothing(mea, two, tmp_path):
    assert "no model in" in mea("store", "remove", two[0], "ffff", "--yes", code=2).stderr
    copy = tmp_path / "copy.safetensors"
    copy.write_bytes(b"")
    mea("store", "remove", two[0], copy, "--yes", code=2)
    assert copy.exists()
    assert len(current_store().cards()) == 2
