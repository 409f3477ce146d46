"""From files to a model: what does not fit is refused before it costs memory."""

import errno
import json
import os

import pytest
import torch

from mea_lib.model_files import ModelFiles, loading, sealed
from mea_lib.model_files.loading import load_model
from mea_lib.models import Input, build
from mea_lib.models.encoder import build_encoder
from mea_lib.models.gated_encoder import GatedEncoder
from mea_lib.models.quantised import quantise_layers
from mea_lib.models.shifted_encoder import ClassShift, ShiftedEncoder

SPEC = {"inputs": Input(1, 16, (0.0,), (1.0,)), "width": 1}


def classifier():
    return build("nine_layer_cnn", classes=3, **SPEC)


def quantised():
    model = classifier()
    quantise_layers(model)
    return model


def gated():
    encoder = build_encoder("nine_layer_cnn", features=4, **SPEC)
    return GatedEncoder(ShiftedEncoder(encoder, ClassShift(3, 4)), classifier(), torch.zeros(2, 4))


@pytest.fixture
def files(store):
    identity = store.fetch({"method": "test"}, classifier).card["id"]
    return ModelFiles.at(store.root / f"{identity}.json")


def with_spec(files, **changes):
    card = files.read_card()
    del card["card_sha256"]
    files.card.write_bytes(sealed(card | {"spec": card["spec"] | changes}))


@pytest.mark.parametrize("make", [classifier, quantised, gated])
def test_every_kind_of_model_is_built_again(store, make):
    saved = make().state_dict()
    found = store.fetch({"method": "test"}, make).state_dict()
    assert found.keys() == saved.keys()
    assert all(torch.equal(found[name], saved[name]) for name in saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"width": 2},
        {"width": 5_000, "network": "resnet50"},
        {"width": 10**7, "network": "vggface"},
        {"classes": 10**18},
        {"width": 10**30},
        {"width": "two"},
        {"size": -1},
        {"network": "lenet"},
        {"mean": [[]]},
        {"kind": "base"},
        {"kind": "gated_encoder", "encoder": {}, "gate": {}},
    ],
)
def test_a_card_of_another_network_is_refused_before_it_is_built(files, monkeypatch, changes):
    with_spec(files, **changes)
    built = []
    monkeypatch.setattr(
        loading, "build_from_spec", lambda spec: built.append(build_from_spec(spec)) or built[-1]
    )
    with pytest.raises(ValueError, match="do not make a model"):
        load_model(files)
    assert all(tensor.is_meta for model in built for tensor in model.state_dict().values())


build_from_spec = loading.build_from_spec


def header(files, **changes):
    """Rewrite the weights' header, and the card so that it describes such weights."""
    content = files.weights.read_bytes()
    length = int.from_bytes(content[:8], "little")
    tensors = json.loads(content[8 : 8 + length])
    tensors["mean"] |= changes
    text = json.dumps(tensors).encode()
    files.weights.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda files: files.weights.write_bytes(b""), "header is longer"),
        (lambda files: files.weights.write_bytes(b"\xff" * 100), "header is longer"),
        (lambda files: files.weights.write_bytes(bytes(8)), "header cannot be read"),
        (
            lambda files: files.weights.write_bytes(bytes([100] + [0] * 7) + b"[" * 100),
            "header cannot be read",
        ),
        (lambda files: os.truncate(files.weights, 20 << 30), "and it has 21,474,836,480"),
        (lambda files: header(files, data_offsets=[0, 1 << 40]), "header speaks of"),
        (lambda files: header(files, shape=[1 << 40]), "do not make a model"),
        (lambda files: header(files, dtype="F64"), "hash is another"),
        (lambda files: files.weights.unlink(), "there is no file"),
    ],
)
def test_weights_are_refused_by_their_header(files, damage, words):
    damage(files)
    with pytest.raises(ValueError, match=words):
        load_model(files)


def test_a_pipe_is_no_card(files):
    files.card.unlink()
    os.mkfifo(files.card)
    with pytest.raises(ValueError, match="is a FIFO"):
        load_model(files)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EMFILE, errno.EIO])
@pytest.mark.parametrize("ending", ["json", "safetensors"])
def test_what_the_machine_fails_at_is_raised_as_it_is(files, monkeypatch, ending, code):
    path = str(files.card.with_suffix(f".{ending}"))

    def fail(name, *arguments):
        if str(name) == path:
            raise OSError(code, os.strerror(code))
        return opened(name, *arguments)

    opened = os.open
    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(OSError, match=os.strerror(code)) as raised:
        load_model(files)
    assert (raised.value.errno, raised.value.filename) == (code, path)
