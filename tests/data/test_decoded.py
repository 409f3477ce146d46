"""What is kept of decoded images: found by contents, made by one process, made again where damaged."""

import os

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file

import mea_lib as mea
from mea_lib.data import decoded
from mea_lib.data.sources import read_parts

SMOKE = mea.preset("smoke")


@pytest.fixture
def folder(tmp_path, write_tree):
    return write_tree(tmp_path / "animals")


@pytest.fixture
def decodings(monkeypatch, tmp_path):
    """Numbers of files decoded, also by other processes."""
    log = tmp_path / "decodings"
    log.write_text("")
    real = decoded.decode

    def counted(content):
        with log.open("a") as file:
            file.write("one\n")
        return real(content)

    monkeypatch.setattr(decoded, "decode", counted)
    return lambda: len(log.read_text().splitlines())


def owner(folder):
    return mea.load(str(folder), SMOKE).owner.digest()


def flat_ones(folder, value):
    """How many training pictures have this value everywhere."""
    return int((read_parts(str(folder)).train.images == value).flatten(1).all(1).sum())


def test_files_are_decoded_once_and_again_after_a_change(folder, decodings):
    before = owner(folder)
    assert decodings() == 30
    assert owner(folder) == before
    assert decodings() == 30
    Image.new("RGB", (16, 16), "red").save(folder / "train" / "cat" / "new.png")
    owner(folder)
    assert decodings() == 61


def test_a_file_of_the_same_size_and_time_is_another_file(folder):
    path = folder / "train" / "cat" / "0.bmp"
    Image.new("RGB", (16, 16), (9, 9, 9)).save(path)
    assert flat_ones(folder, 9) == 1
    status = path.stat()
    Image.new("RGB", (16, 16), (8, 8, 8)).save(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert (flat_ones(folder, 9), flat_ones(folder, 8)) == (0, 1)


def test_the_summary_is_kept_too(folder, decodings):
    picture = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    picture.save(folder / "train" / "cat" / "0.png")
    first, second = (mea.load(str(folder), SMOKE).read.describe() for _ in range(2))
    assert decodings() == 30
    assert first == second
    assert "transparency composed on white: 1 (train/cat/0.png)" in second


@pytest.mark.parametrize("damage", ["cut off", "emptied", "one byte"])
def test_a_damaged_file_is_made_again_with_a_word(folder, own_cache, decodings, caplog, damage):
    before = owner(folder)
    (kept,) = own_cache.glob("*.safetensors")
    content = bytearray(kept.read_bytes())
    content[-5] ^= 1
    kept.write_bytes({"cut off": content[:-50], "emptied": b"", "one byte": content}[damage])
    assert owner(folder) == before
    assert f"{kept} is damaged" in caplog.text
    assert decodings() == 60
    assert owner(folder) == before
    assert decodings() == 60


@pytest.mark.timeout(60)
@pytest.mark.parametrize("damage", ["FIFO", "folder", "deep", "fewer"])
def test_something_else_in_its_place_is_no_hindrance(folder, own_cache, caplog, damage):
    before = owner(folder)
    (kept,) = own_cache.glob("*.safetensors")
    images = load_file(kept)
    kept.unlink()
    if damage == "FIFO":
        os.mkfifo(kept)
    elif damage == "folder":
        kept.mkdir()
    else:
        if damage == "fewer":
            images = {"0": images["0"]}
        about = {"digest": decoded._digest(images), "done": "[" * 100_000 if damage == "deep" else "[]"}
        save_file(images, kept, metadata=about)
    assert owner(folder) == before
    assert f"{kept} is damaged" in caplog.text
    if damage != "folder":
        caplog.clear()
        assert owner(folder) == before
        assert "damaged" not in caplog.text


def test_an_image_of_gigabytes_is_refused_by_its_name(folder):
    path = folder / "train" / "cat" / "0.png"
    os.truncate(path, decoded.LARGEST_FILE + 1)  # of which the disk holds nothing
    with pytest.raises(ValueError, match=r"cat/0\.png has 536,870,913 bytes, and at most"):
        owner(folder)


def test_eight_processes_decode_once(folder, own_cache, decodings, at_once):
    at_once(8, lambda: owner(folder))
    assert decodings() == 30
    assert sorted(path.suffix for path in own_cache.iterdir()) == [".lock", ".safetensors"]


def test_without_a_place_to_keep_them_images_are_decoded_all_the_same(folder, tmp_path, monkeypatch, caplog):
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv("MEA_CACHE", str(tmp_path / "a file" / "cache"))
    assert len(mea.load(str(folder), SMOKE).test) == 15
    assert "set MEA_CACHE to a folder of yours" in caplog.text
