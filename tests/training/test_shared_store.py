"""A store that several users share: read by all who may read, written by all who may write."""

import contextvars
import os
import shutil
import stat
import tempfile
from pathlib import Path

import pytest
import torch

from mea_lib.model_files import model_lock, own_store
from mea_lib.training import Store, current_store
from tests.training.stored import RECIPE, make, never

OTHER = RECIPE | {"seed": 2}
GROUP = 54_321


@pytest.fixture
def place():
    """A folder that every user may enter, as pytest's own may not be; each may write what is in it and theirs."""
    folder = Path(tempfile.mkdtemp(prefix="shared-store-"))
    folder.chmod(0o755)
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o777)
    shutil.rmtree(folder)


def become(user, groups=()):
    """Go on as another user, where this one may; else it is this one, whom the folder's mode holds too."""
    if os.geteuid() == 0:
        os.setgroups(list(groups))
        os.setgid(user)
        os.setuid(user)


def modes(folder):
    return {path.suffix: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def test_a_model_that_is_there_needs_no_lock(store):
    made = store.fetch(RECIPE, make)
    with model_lock(store.root, made.card["id"]):
        assert store.fetch(RECIPE, never).card == made.card


def test_a_store_that_may_only_be_read_serves_and_new_models_go_to_the_users_own(place, at_once, monkeypatch):
    shared, home = place / "shared", place / "home"
    Store(shared).fetch(RECIPE, make)
    (shared / f"{Store(shared).identity(RECIPE)}.lock").unlink()
    shared.chmod(0o555)
    home.mkdir()
    home.chmod(0o777)
    monkeypatch.setenv("MEA_STORE", str(shared))
    monkeypatch.setenv("HOME", str(home))

    def user(number, together):
        become(65_534)
        own = contextvars.Context().run(current_store)  # outside of every `use_store`
        Store(shared).fetch(RECIPE, never)
        own.fetch(RECIPE, never)
        own.fetch(OTHER, make)
        own.fetch(OTHER, never)
        return [path.name for path in own_store().glob("*.json")], len(own.cards())

    before = sorted(os.listdir(shared))
    assert at_once(user, 1) == [([f"{Store(shared).identity(OTHER)}.json"], 2)]
    assert sorted(os.listdir(shared)) == before


def test_a_model_that_a_stranger_may_not_read_is_no_damage(place, at_once):
    store = Store(place / "store")
    card = store.root / f"{store.fetch(RECIPE, make).card['id']}.json"
    card.chmod(0)
    store.root.chmod(0o777)

    def stranger(number, together):
        become(65_534)
        with pytest.raises(PermissionError, match=card.name):
            store.fetch(RECIPE, never)

    at_once(stranger, 1)
    card.chmod(0o600)
    store.fetch(RECIPE, never)


def test_damage_in_a_folder_that_is_only_read_is_left_there(tmp_path):
    shared, own = Store(tmp_path / "shared"), Store(tmp_path / "own", tmp_path / "shared")
    path = shared.root / f"{shared.fetch(RECIPE, make).card['id']}.json"
    path.write_text("{")
    with pytest.warns(UserWarning, match="passed over"):
        found = own.fetch(RECIPE, make)
    assert torch.equal(found.head.weight, make().head.weight)
    assert path.read_text() == "{"
    own.fetch(RECIPE, never)


@pytest.mark.parametrize("mask", [0o022, 0o077])
@pytest.mark.parametrize("mode", [0o2770, 0o2775, 0o755, 0o700])
def test_files_have_their_folders_permissions(store, mode, mask):
    store.root.mkdir()
    store.root.chmod(mode)
    before = os.umask(mask)
    try:
        store.fetch(RECIPE, make)
    finally:
        os.umask(before)
    expected = mode & 0o666
    assert modes(store.root) == {".json": expected, ".safetensors": expected, ".lock": expected}


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can be two users")
def test_a_group_makes_damages_and_makes_again_each_others_models(place, at_once):
    store = Store(place / "store")
    store.root.mkdir()
    os.chown(store.root, -1, GROUP)
    store.root.chmod(0o2770)
    identity = store.identity(RECIPE)

    def work(user, then):
        def member(number, together):
            become(user, [GROUP])
            os.umask(0o022)
            then()

        at_once(member, 1)

    work(60_001, lambda: store.fetch(RECIPE, make))

    def again():
        store.fetch(RECIPE, never)
        (store.root / f"{identity}.json").write_text("{")
        with pytest.warns(UserWarning, match="set aside"):
            store.fetch(RECIPE, make)

    work(60_002, again)
    work(60_001, again)
    assert {path.stat().st_gid for path in store.root.iterdir()} == {GROUP}
