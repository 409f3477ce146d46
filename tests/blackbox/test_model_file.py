"""Files of models that are none: refused by name, before they are unpacked."""

import hashlib
import os
import zipfile

import pytest
import torch

from mea_lib.blackbox.model_file import LARGEST, load_model_file


@pytest.mark.parametrize("ending", [".safetensors", ".json", ".onnx", ".pt", ".pth", ".ts", ".torchscript"])
@pytest.mark.timeout(60)
def test_what_is_no_ordinary_file_is_not_opened(tmp_path, ending):
    path = tmp_path / f"model{ending}"
    os.mkfifo(path)
    with pytest.raises(ValueError, match=rf"model\{ending} is a FIFO and not an ordinary file"):
        load_model_file(path, **({"network": "resnet18"} if ending == ".pth" else {}))


def test_one_of_gigabytes_is_not_read(tmp_path):
    path = tmp_path / "model.pth"
    path.touch()
    os.truncate(path, LARGEST + 1)  # of which the disk holds nothing
    with pytest.raises(ValueError, match=r"model\.pth has 8,589,934,593 bytes, and at most"):
        load_model_file(path, network="resnet18")


def test_an_archive_that_swells_is_not_unpacked(tmp_path, monkeypatch):
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model/data.pkl", bytes(2**20))
    monkeypatch.setattr("mea_lib.blackbox.model_file.LARGEST", 2**16)
    with pytest.raises(ValueError, match=r"model\.pth has 1,048,576 bytes when it is unpacked"):
        load_model_file(path, network="resnet18")


@pytest.mark.parametrize("kept", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("ending", ["pth", "pt", "ts"])
def test_a_damaged_file_is_named(tmp_path, ending, kept):
    path = tmp_path / f"model.{ending}"
    torch.save({"weight": torch.zeros(9, 9)}, path)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(ValueError, match=rf"model\.{ending} "):
        load_model_file(path, **({} if ending == "ts" else {"network": "resnet18"}))


@pytest.mark.parametrize(
    "content", [b"\x80\x02" + b"(" * 50_000, b"\x80\x02K\x01R.", b"\x80\x02cos\nsystem\n."]
)
def test_a_hostile_pickle_is_named(tmp_path, content):
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"model\.pth is no state dict"):
        load_model_file(path, network="resnet18")


@pytest.mark.parametrize("card", ["[" * 100_000, "7", '{"spec": 7, "weights_sha256": "SUM"}', "{}"])
def test_a_card_that_is_none_is_named(tmp_path, card):
    (tmp_path / "model.safetensors").write_bytes(b"none")
    (tmp_path / "model.json").write_text(card.replace("SUM", hashlib.sha256(b"none").hexdigest()))
    with pytest.raises(ValueError, match=r"model\.json"):
        load_model_file(tmp_path / "model.json")
