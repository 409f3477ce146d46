"""Which folders are the store, and which of them takes new models."""

import os
from pathlib import Path

import pytest

from mea_lib.model_files import own_store, store_folders


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MEA_STORE", raising=False)


@pytest.fixture
def may_write(monkeypatch):
    """Say which folders can be written to."""

    def say(*folders):
        monkeypatch.setattr(os, "access", lambda folder, mode: Path(folder) in folders)

    return say


def listed(monkeypatch, *folders):
    for folder in folders:
        folder.mkdir()
    monkeypatch.setenv("MEA_STORE", os.pathsep.join(map(str, folders)))
    return list(folders)


def test_without_a_variable_it_is_the_users_own(tmp_path):
    assert store_folders() == [own_store()] == [tmp_path / "home/.cache/mea-defender/store"]


def test_the_first_that_may_be_written_takes_what_is_new(tmp_path, monkeypatch, may_write):
    shared, own, third = listed(monkeypatch, *(tmp_path / name for name in ("shared", "own", "third")))
    may_write(own, third)
    assert store_folders() == [own, shared, third]


def test_where_none_may_be_written_the_users_own_does(tmp_path, monkeypatch, may_write):
    shared = listed(monkeypatch, tmp_path / "shared")
    may_write()
    assert store_folders() == [own_store(), *shared]


def test_a_folder_that_is_not_there_yet_is_made_where_that_can_be(tmp_path, monkeypatch, may_write):
    monkeypatch.setenv("MEA_STORE", str(tmp_path / "a" / "b"))
    may_write(tmp_path)
    assert store_folders() == [tmp_path / "a" / "b"]
    may_write()
    assert store_folders()[0] == own_store()


def test_empty_names_and_doubles_are_left_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MEA_STORE", os.pathsep.join(["", "one", str(tmp_path / "one"), "~/two"]))
    assert store_folders() == [tmp_path / "one", tmp_path / "home" / "two"]
