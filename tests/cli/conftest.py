"""A store of its own for each test, and one with a watermarked model that several tests read."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import mea_lib
from mea_lib.cli import app

KEY = ["--sources", "3", "7", "--target", "1", "--key-seed", "5"]
# Enough training for digits that the watermark is there and travels.
VICTIM = ["--data", "digits", "--width", "8", "--epochs", "20"]
COPY = ["--data", "digits", "--width", "8", "--epochs", "40"]


@pytest.fixture(autouse=True)
def own_world(tmp_path, monkeypatch):
    """Smoke scale, a store under tmp_path, and no variable that changes what a command does."""
    for name in ("MEA_DATA", "MEA_TOKEN", "MEA_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MEA_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MEA_SCALE", "smoke")
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def digits():
    """The digits as a command reads them, in three parties."""
    return mea_lib.load("digits", mea_lib.preset("smoke"))


@pytest.fixture
def mea():
    """Run a command in this process; `data` is what it printed as JSON. A code of None stands for any."""

    def run(*arguments, code=0, **kwargs):
        found = CliRunner().invoke(app, [str(argument) for argument in arguments], **kwargs)
        assert code in (None, found.exit_code), found.stderr + found.stdout
        if "--json" in arguments and found.stdout:
            found.data = json.loads(found.stdout)
        return found

    return run


@pytest.fixture
def shell():
    """Run a command in a process of its own, without a terminal."""

    def run(*arguments, code=0, **kwargs):
        command = [sys.executable, "-m", "mea_lib.cli", *map(str, arguments)]
        found = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, **kwargs)
        assert found.returncode == code, found.stderr + found.stdout
        return found

    return run


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A committed key, its victim, a surrogate, and a model with another key: made once by the commands."""
    folder = tmp_path_factory.mktemp("made")
    victim, copy, other = (folder / f"{name}.safetensors" for name in ("victim", "copy", "other"))
    key, salt, commitment = (folder / name for name in ("key.json", "salt.txt", "commitment.json"))
    outputs = ["--key-out", key, "--salt-out", salt, "--commitment-out", commitment]
    commands = {
        "commit": ["commit", *KEY, "--data", "digits", *outputs],
        "embed": ["embed", "--key", key, *VICTIM, "--out", victim],
        "extract": ["extract", "--model", victim, *COPY, "--out", copy],
        "other": ["embed", "--sources", "4", "6", "--target", "2", *VICTIM, "--out", other],
    }
    before = {name: os.environ.get(name) for name in ("MEA_STORE", "MEA_SCALE")}
    os.environ |= {"MEA_STORE": str(folder / "store"), "MEA_SCALE": "smoke"}
    try:
        results = {}
        for name, command in commands.items():
            found = CliRunner().invoke(app, [*map(str, command), "--json"])
            assert found.exit_code == 0, found.stderr
            results[name] = json.loads(found.stdout)
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    return SimpleNamespace(folder=folder, key_options=KEY, **results)
