"""Models on disk: what a reference finds, and what is refused."""

import json
import os

import pytest
import torch

from mea_lib.cli.models import copy_model, find_model, load_model, stored, stored_ids
from mea_lib.model_files import sealed
from mea_lib.models import Input, build
from mea_lib.training import current_store, use_store

SPEC = {"classes": 3, "inputs": Input(1, 16, (0.0,), (1.0,)), "width": 1}


def make(seed):
    return current_store().fetch(
        {"method": "test", "seed": seed}, lambda: build("nine_layer_cnn", seed=seed, **SPEC)
    )


def test_a_model_is_found_by_its_id_its_beginning_and_both_files(tmp_path):
    model = make(1)
    identity = model.card["id"]
    copy_model(stored(identity), tmp_path / "model.safetensors")
    ways = [identity, identity[:3], f"{current_store().root}/{identity}.json"]
    ways += [str(tmp_path / "model.safetensors"), str(tmp_path / "model.json")]
    for way in ways:
        loaded = load_model(find_model(way))
        assert torch.equal(loaded.head.weight.cpu(), model.head.weight)
        assert loaded.card == model.card
        assert not loaded.training


def test_a_beginning_that_several_models_have_names_them(monkeypatch):
    identities = [make(seed).card["id"] for seed in range(17)]  # two of them begin alike
    firsts = [identity[0] for identity in identities]
    twice = next(first for first in firsts if firsts.count(first) > 1)
    with pytest.raises(ValueError, match=f"{twice} is the beginning of {twice}") as raised:
        find_model(twice)
    assert all(identity in str(raised.value) for identity in identities if identity[0] == twice)


@pytest.mark.parametrize("reference", ["model", "model.pt", "../model", "ABC", "*", "0" * 17, ""])
def test_what_is_no_reference_is_said(reference):
    make(1)
    with pytest.raises(ValueError, match="neither an id of the store"):
        find_model(reference)


def test_an_id_that_is_not_there():
    with pytest.raises(ValueError, match="mea store list"):
        find_model("0123456789abcdef")


def test_half_a_model_is_none(tmp_path):
    copy_model(stored(make(1).card["id"]), tmp_path / "model.safetensors")
    (tmp_path / "model.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no file .*model\.json"):
        find_model(str(tmp_path / "model.safetensors"))


@pytest.mark.parametrize("content", ["{", "[]", "{}", "null"])
def test_a_card_that_is_none(tmp_path, content):
    copy_model(stored(make(1).card["id"]), tmp_path / "model.safetensors")
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(ValueError, match=r"model\.json is not"):
        load_model(find_model(str(tmp_path / "model.json")))


def test_weights_of_another_model_are_refused(tmp_path):
    for seed in (1, 2):
        copy_model(stored(make(seed).card["id"]), tmp_path / f"{seed}.safetensors")
    (tmp_path / "1.safetensors").replace(tmp_path / "2.safetensors")
    with pytest.raises(ValueError, match="does not hold the weights"):
        load_model(find_model(str(tmp_path / "2.json")))


def test_a_spec_that_does_not_fit_the_weights(tmp_path):
    copy_model(stored(make(1).card["id"]), tmp_path / "model.safetensors")
    card = json.loads((tmp_path / "model.json").read_text())
    card["spec"]["width"] = 2
    del card["card_sha256"]
    (tmp_path / "model.json").write_bytes(sealed(card))
    with pytest.raises(ValueError, match="do not make a model"):
        load_model(find_model(str(tmp_path / "model.json")))


def test_a_model_is_found_in_every_folder_of_the_store(tmp_path, monkeypatch):
    identity = make(1).card["id"]
    monkeypatch.setenv("MEA_STORE", f"{tmp_path / 'own'}{os.pathsep}{tmp_path / 'store'}")
    with use_store(tmp_path / "own"):
        other = make(2).card["id"]
    assert stored_ids() == sorted([identity, other])
    assert find_model(identity[:12]).card.parent == tmp_path / "store"
    assert find_model(other[:12]).card.parent == tmp_path / "own"


def test_ids_are_those_of_finished_models(tmp_path):
    identity = make(1).card["id"]
    (current_store().root / "litter.safetensors").write_bytes(b"")
    assert stored_ids() == [identity]
