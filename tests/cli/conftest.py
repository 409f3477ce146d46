"""A store of its own for each test, and one with a watermarked model that several tests read."""

import json
import subprocess
import sys
from contextlib import contextmanager
from contextvars import Context
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import mea_lib
from mea_lib.cli import app

KEY = ["--sources", "3", "7", "--target", "1", "--key-seed", "5"]
# Enough training for digits that the watermark is there and travels.
VICTIM = ["--data", "digits", "--width", "8", "--epochs", "20"]
SURROGATE = ["--data", "digits", "--width", "8", "--epochs", "40"]


@pytest.fixture(autouse=True)
def own_world(tmp_path, monkeypatch):
    """Smoke scale, a store under tmp_path, and no variable that changes what a command does."""
    for name in ("MEA_DATA", "MEA_TOKEN", "MEA_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MEA_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("MEA_SCALE", "smoke")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # of the processes that a test starts
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def digits():
    """The digits as a command reads them, in three parties."""
    return mea_lib.load("digits", mea_lib.preset("smoke"))


@pytest.fixture
def several_sizes(tmp_path):
    """A folder `shapes` of class folders, whose images have two sizes."""
    import numpy as np
    from PIL import Image

    drawn = np.random.default_rng(0)
    for name in "0123":
        (tmp_path / "shapes" / name).mkdir(parents=True)
        for number in range(40):
            size = 12 + 4 * (number % 2)
            pixels = drawn.integers(0, 256, (size, size), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "shapes" / name / f"{number}.png")


def run(*arguments, code=0, **kwargs):
    """Run a command in this process; `data` is what it printed as JSON. A code of None stands for any.

    No store is in use but the one that MEA_STORE names, as in a process of its own.
    """
    found = Context().run(CliRunner().invoke, app, [str(argument) for argument in arguments], **kwargs)
    assert code in (None, found.exit_code), found.stderr + found.stdout
    if "--json" in arguments and found.stdout:
        found.data = json.loads(found.stdout)
    return found


@pytest.fixture
def mea():
    """`run`."""
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


@contextmanager
def smoke(folder):
    """Smoke scale and a store in this folder, for what several tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MEA_STORE", str(folder / "store"))
        patch.setenv("MEA_SCALE", "smoke")
        yield


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
        "extract": ["extract", "--model", victim, *SURROGATE, "--out", copy],
        "other": ["embed", "--sources", "4", "6", "--target", "2", *VICTIM, "--epochs", 12, "--out", other],
    }
    with smoke(folder):
        results = {name: run(*command, "--json").data for name, command in commands.items()}
    return SimpleNamespace(folder=folder, key_options=KEY, **results)


@pytest.fixture(scope="session")
def evidence(made):
    """What `mea verify` finds about the surrogate, as JSON; its exit code was 0."""
    files = ["--model", made.folder / "copy.safetensors", "--key", made.folder / "key.json"]
    with smoke(made.folder):
        return run("verify", *files, "--data", "digits", "--json").data
