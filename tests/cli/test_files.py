"""What a command is given for a file: ordinary ones of bounded size are read, and errors name them."""

import hashlib
import json
import os
import socket
from types import SimpleNamespace

import pytest
import typer

from mea_lib.arena.table_file import FORMAT
from mea_lib.cli import app
from mea_lib.data import WatermarkKey
from mea_lib.files import LARGEST_TEXT
from mea_lib.models import Input, build
from mea_lib.proof import Commitment
from mea_lib.proof.commitment import PROCEDURE
from mea_lib.training.store import packed_weights

DEEP = "[" * 100_000


def commands():
    program = typer.main.get_command(app)
    for name, command in program.commands.items():
        nested = getattr(command, "commands", None)
        yield from (([name, own], nested[own]) for own in nested) if nested else [([name], command)]


# Every option and argument of every command that takes a file.
TAKEN = [
    (command, parameter.opts[0] if parameter.opts[0].startswith("-") else None)
    for command, found in commands()
    for parameter in found.params
    if parameter.metavar == "FILE"
]


@pytest.fixture
def there(tmp_path):
    """An owner's key, salt and commitment, and a model that nobody trained."""
    model = build("nine_layer_cnn", Input(1, 16, [0.5], [0.5]), classes=10, width=4)
    weights = packed_weights(model)
    sha256 = hashlib.sha256(weights).hexdigest()
    card = {"id": "0" * 16, "made": "today", "recipe": {}, "weights_sha256": sha256}
    files = SimpleNamespace(
        card=tmp_path / "model.json",
        weights=tmp_path / "model.safetensors",
        key=tmp_path / "key.json",
        salt=tmp_path / "salt.txt",
        commitment=tmp_path / "commitment.json",
    )
    files.weights.write_bytes(weights)
    files.card.write_text(json.dumps(card | {"spec": model.spec}))
    files.key.write_text(WatermarkKey(("3", "7"), "1").to_json())
    files.salt.write_text("salt" * 16)
    plan = {"samples": 1_000, "threshold": 0.3, "alpha": 0.01, "arrangement": False, "procedure": PROCEDURE}
    texts = {"digest": "a", "test_digest": "b", "autoencoder_digest": "c", "version": "0"}
    Commitment(**plan, **texts, classes=("0", "1")).save(files.commitment)
    return files


@pytest.fixture(params=["FIFO", "socket", "device", "link to a device"])
def no_file(request, tmp_path):
    """Something with a name that is no ordinary file."""
    path = tmp_path / "odd.json"
    if request.param == "FIFO":
        os.mkfifo(path)
        yield path, "a FIFO"
    elif request.param == "socket":
        with socket.socket(socket.AF_UNIX) as own:
            own.bind(str(path))
            yield path, "a socket"
    elif request.param == "device":
        yield "/dev/zero", "a device"
    else:
        path.symlink_to("/dev/zero")
        yield path, "a device"


def test_the_options_that_take_files_are_known():
    assert len(TAKEN) >= 20
    assert (["verify"], "--key") in TAKEN


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("command", "option"), TAKEN, ids=lambda part: "".join(part) if part else "argument")
def test_what_is_no_ordinary_file_is_refused_before_anything_is_done(mea, no_file, command, option):
    path, kind = no_file
    found = mea(*command, *([option] if option else []), path, code=2)
    assert f"{path} is {kind} and not an ordinary file" in " ".join(found.stderr.split())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("ending", ["safetensors", "json", "pth", "pt", "ts", "onnx"])
@pytest.mark.parametrize("kind", ["FIFO", "device"])
def test_a_model_that_is_no_ordinary_file_is_refused(mea, there, ending, kind):
    path = there.card.with_suffix(f".{ending}")
    path.unlink(missing_ok=True)
    os.mkfifo(path) if kind == "FIFO" else path.symlink_to("/dev/zero")
    found = mea("verify", "--key", there.key, "--model", path, "--data", "digits", code=None)
    assert found.exit_code in (1, 2)
    words = " ".join(found.stderr.split())
    assert f"{path} is a" in words
    assert "not an ordinary file" in words


@pytest.mark.parametrize(
    ("content", "words"),
    [(DEEP, "recursion"), (b"\xff\xfe\x00", "not text in UTF-8"), ("{", "not a watermark key")],
    ids=["deep", "bytes", "cut off"],
)
def test_a_key_that_is_none_is_named(mea, tmp_path, content, words):
    path = tmp_path / "odd.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o600)
    found = mea("embed", "--key", path, "--data", "digits", code=2)
    assert str(path) in found.stderr
    assert words in found.stderr


def test_a_key_of_gigabytes_is_not_read(mea, tmp_path):
    path = tmp_path / "odd.json"
    path.touch(0o600)
    os.truncate(path, 50 * 2**30)  # of which the disk holds nothing
    found = mea("embed", "--key", path, "--data", "digits", code=2)
    assert f"{path} has 53,687,091,200 bytes, and at most {LARGEST_TEXT:,} are read" in found.stderr


def test_a_commitment_that_is_none_is_named(mea, there):
    whole = json.loads(there.commitment.read_text())
    for content in (DEEP, "7", json.dumps(whole | {"digest": 7}), json.dumps(whole | {"classes": [[], {}]})):
        there.commitment.write_text(content)
        options = ["--commitment", there.commitment, "--salt-file", there.salt]
        found = mea("verify", "--key", there.key, "--model", there.weights, *options, code=2)
        assert f"{there.commitment} is not" in " ".join(found.stderr.split())


def test_a_table_that_is_none_is_named(mea, tmp_path):
    path = tmp_path / "odd.json"
    trial = {"model": "key 1", "points_lost": "much"}
    entry = {"name": "a", "discipline": "removal", "trials": [trial], "points_allowed": 5}
    for entries in (
        [entry],
        [7],
        7,
        [entry | {"trials": "ab"}],
        [entry | {"trials": [{"points_lost": 10**400}]}],
    ):
        path.write_text(json.dumps({"format": FORMAT, "arena": "a", "entries": entries}))
        assert f"{path} is not a table of an arena" in mea("arena", "show", "--table", path, code=2).stderr
    path.write_text(DEEP)
    assert f"{path} is not a table of an arena" in mea("arena", "show", "--table", path, code=2).stderr


@pytest.mark.parametrize("spec", [7, [], None])
def test_a_card_that_is_none_is_named(mea, there, spec):
    card = json.loads(there.card.read_text())
    there.card.write_text(DEEP if spec is None else json.dumps(card | {"spec": spec}))
    found = mea("extract", "--model", there.card, "--data", "digits", code=None)
    assert found.exit_code == 2
    assert f"{there.card} is not" in " ".join(found.stderr.split())


def test_the_card_of_another_kind_of_model_is_sound_but_no_classifiers(mea, there, monkeypatch):
    monkeypatch.setenv("MEA_STORE", str(there.card.parent))
    card = json.loads(there.card.read_text())
    for spec in ({}, {"classes": 3, "kind": "shifted_encoder"}, {"classes": 3, "channels": "1", "size": []}):
        there.card.write_text(json.dumps(card | {"spec": spec}))
        found = mea("extract", "--model", there.card, "--data", "digits", code=2)
        assert "the model model is no classifier" in " ".join(found.stderr.split())
        assert "model" not in mea("store", "list", "--json").data["damaged"]


def test_names_may_be_longer_together_than_the_name_of_a_file(mea, there):
    names = ",".join(f"class number {number}" for number in range(1_000))
    how = ["--suspect", f"label_names={names}", "--url", "http://127.0.0.1:9"]
    found = mea("verify", "--key", there.key, *how, "--server", "attempts=1", "--data", "digits", code=None)
    assert "File name too long" not in found.stderr
    how = ["--suspect", "label_names=/dev/zero", "--url", "http://127.0.0.1:9"]
    found = mea("verify", "--key", there.key, *how, code=2)
    assert "/dev/zero is a device" in " ".join(found.stderr.split())
