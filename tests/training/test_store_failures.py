"""What goes wrong around a store: nothing sound is thrown aside, and nothing that was trained is lost."""

import errno
import json
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import torch

from mea_lib.model_files import loading, own_store
from mea_lib.training import Store
from mea_lib.training import store as store_file
from tests.training.stored import RECIPE, make, never


@pytest.fixture
def path(store):
    """Of the stored model's card."""
    return store.root / f"{store.fetch(RECIPE, make).card['id']}.json"


@pytest.mark.parametrize(
    "error",
    [PermissionError(errno.EACCES, "denied"), OSError(errno.EMFILE, "too many"), OSError(errno.EIO, "I/O")],
    ids=["EACCES", "EMFILE", "EIO"],
)
def test_files_that_cannot_be_read_are_left_as_they_are(store, path, monkeypatch, error):
    with monkeypatch.context() as broken:
        broken.setattr(os, "fstat", raising(error))
        with pytest.raises(type(error), match=path.name) as raised:
            store.fetch(RECIPE, never)
    assert raised.value.errno == error.errno
    untouched(store)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: not enough memory")])
def test_a_model_there_is_no_memory_for_is_left_as_it_is(store, path, monkeypatch, error):
    with monkeypatch.context() as broken:
        broken.setattr(loading, "load", raising(error))
        with pytest.raises(type(error), match=path.with_suffix("").name):
            store.fetch(RECIPE, never)
    untouched(store)


def test_a_card_there_is_no_memory_for_is_named(store, path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(os, "fstat", raising(MemoryError()))
        with pytest.raises(MemoryError, match=path.name):
            store.fetch(RECIPE, never)
    untouched(store)


def raising(error):
    def fail(*arguments, **options):
        raise error

    return fail


def untouched(store):
    """The model is read as if nothing had been."""
    store.fetch(RECIPE, never)
    assert not list(store.root.glob("*.damaged"))


def test_what_was_set_aside_is_never_overwritten(store, path):
    for content in ("first", "second", "third"):
        path.write_text(content)
        with pytest.warns(UserWarning, match="set aside"):
            store.fetch(RECIPE, make)
    kept = sorted(found.read_text() for found in store.root.glob("*.json.*.damaged"))
    assert kept == ["first", "second", "third"]
    assert len(list(store.root.glob("*.safetensors.*.damaged"))) == 3


def test_a_model_of_another_recipe_is_not_served(store, path):
    """A card from before cards had a hash, which only the recipe tells."""
    card = json.loads(path.read_text())
    for name in ("card_sha256", "code"):
        del card[name]
    path.write_text(json.dumps(card))
    store.fetch(RECIPE, never)
    path.write_text(json.dumps(card | {"recipe": RECIPE | {"seed": 2}}))
    with pytest.warns(UserWarning, match="another recipe.* made again"):
        assert store.fetch(RECIPE, make).card["recipe"] == RECIPE


@pytest.fixture
def full(store, monkeypatch, tmp_path):
    """A disk on which there is room for locks only; the user's home is on another."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write = store_file.write_whole

    def write_elsewhere(path, content, mode):
        if path.parent == store.root and path.suffix in full_for:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content, mode)

    full_for = {".safetensors", ".json"}
    monkeypatch.setattr(store_file, "write_whole", write_elsewhere)
    return full_for


@pytest.mark.parametrize("ending", [".safetensors", ".json"])
def test_a_model_for_which_the_disk_is_too_full_is_kept_elsewhere(store, full, ending):
    full -= {".safetensors", ".json"} - {ending}
    with pytest.raises(OSError, match="No space left on device") as raised:
        store.fetch(RECIPE, make)
    identity = store.identity(RECIPE)
    assert raised.value.errno == errno.ENOSPC
    assert raised.value.filename == str(store.root / identity) + ending
    assert f"kept as {own_store() / identity}.safetensors and .json" in raised.value.strerror
    assert f"move both files to {store.root}" in raised.value.strerror
    assert [left.suffix for left in store.root.iterdir()] == [".lock"]
    full.clear()
    for kept in own_store().iterdir():
        shutil.move(kept, store.root)
    store.fetch(RECIPE, never)


def test_without_a_home_it_is_kept_in_a_new_folder(store, full, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(OSError, match="the trained model is kept as"):
        store.fetch(RECIPE, make)
    (kept,) = tmp_path.glob("mea-defender-*")
    found = Store(kept).fetch(RECIPE, never)
    assert torch.equal(found.head.weight, make().head.weight)


def test_where_nothing_can_be_kept_that_is_said(store, full, tmp_path, monkeypatch):
    (tmp_path / "home").write_text("no folder")
    monkeypatch.setattr(tempfile, "mkdtemp", raising(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="No space left on device; the model that was trained is lost"):
        store.fetch(RECIPE, make)


def test_a_folder_that_takes_no_lock_fails_before_anything_is_trained(tmp_path):
    (tmp_path / "store").write_text("no folder")
    with pytest.raises(OSError, match=str(tmp_path / "store")):
        Store(Path(tmp_path / "store")).fetch(RECIPE, never)


def test_litter_that_cannot_be_removed_costs_no_model(store):
    identity = store.fetch(RECIPE, make).card["id"]
    for path in store.root.glob(f"{identity}.*"):
        path.unlink()
    (store.root / f"{identity}.json.1.partial").mkdir()
    assert store.fetch(RECIPE, make).card["id"] == identity


def test_a_store_where_no_folder_can_be_says_what_to_set(tmp_path):
    (tmp_path / "file").write_text("")
    store = Store(tmp_path / "file" / "store")
    with pytest.raises(NotADirectoryError, match="set MEA_STORE to a folder of yours") as caught:
        store.fetch(RECIPE, never)
    assert caught.value.filename == str(store.root)
