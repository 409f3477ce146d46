"""Where images come from, and what is said when they do not."""

import gzip
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

import mea_lib as mea
from mea_lib.data import sources
from mea_lib.data.sources import DataNotFound, load

SMOKE = mea.preset("smoke")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MEA_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("MEA_DATA", raising=False)


def write_tree(folder, classes=("cat", "dog", "owl"), number=5, size=16, mode="RGB"):
    generator = np.random.default_rng(0)
    for part in ("train", "test"):
        for label, name in enumerate(classes):
            (folder / part / name).mkdir(parents=True)
            for index in range(number):
                shape = (size, size, 3) if mode == "RGB" else (size, size)
                pixels = generator.integers(0, 255, shape, dtype=np.uint8) // 4 + 60 * label
                Image.fromarray(pixels, mode).save(folder / part / name / f"{index}.png")
    return folder


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_class_folders(tmp_path, mode, channels):
    data = load(str(write_tree(tmp_path / "animals", mode=mode)), SMOKE)
    assert data.owner.classes == ("cat", "dog", "owl")
    assert data.owner.images.shape == (15, channels, 16, 16)
    assert data.owner.of_class("owl").float().mean() > data.owner.of_class("cat").float().mean() + 80
    assert len(data.queries) == 15


def test_the_first_images_of_class_folders_are_of_every_class(tmp_path):
    data = load(str(write_tree(tmp_path / "animals", number=40)), SMOKE)
    for part in (data.owner, data.test):
        assert set(part.labels[:20].tolist()) == {0, 1, 2}
        assert all(part.of_class(name).min() // 60 == label for label, name in enumerate(part.classes))


def test_class_folders_are_decoded_once_and_again_after_a_change(tmp_path, monkeypatch):
    folder = write_tree(tmp_path / "animals")
    before = load(str(folder), SMOKE).owner.digest()
    with monkeypatch.context() as patch:
        patch.setattr(sources, "_decode", lambda paths: pytest.fail("decoded a second time"))
        assert load(str(folder), SMOKE).owner.digest() == before
    Image.new("RGB", (16, 16), "red").save(folder / "train" / "cat" / "new.png")
    assert len(load(str(folder), SMOKE).owner) == 16


def test_one_level_of_class_folders_is_split(tmp_path):
    folder = write_tree(tmp_path / "animals", number=10) / "train"
    data = load(str(folder), SMOKE)
    assert (len(data.owner), len(data.test)) == (24, 6)


def break_empty_class(folder):
    shutil.rmtree(folder / "train" / "dog")
    (folder / "train" / "dog").mkdir()


def break_odd_class(folder):
    shutil.rmtree(folder / "test" / "dog")


def break_file(folder):
    (folder / "train" / "cat" / "1.png").write_bytes(b"no image")


def break_size(folder):
    Image.new("RGB", (16, 18)).save(folder / "train" / "cat" / "1.png")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_empty_class, r"dog holds no image"),
        (break_odd_class, r"needs at least 3|not in both train and test: dog"),
        (break_file, r"1\.png is not an image"),
        (break_size, r"1\.png has 16×18 pixels"),
    ],
)
def test_damaged_folders_are_named_and_leave_nothing(tmp_path, damage, message):
    folder = write_tree(tmp_path / "animals")
    damage(folder)
    with pytest.raises(ValueError, match=message):
        load(str(folder), SMOKE)
    assert not list((tmp_path / "cache").glob("*.partial"))


def test_empty_folder(tmp_path):
    with pytest.raises(ValueError, match="0 class folders"):
        load(str(tmp_path), SMOKE)


def test_unknown_name():
    with pytest.raises(ValueError, match="fashion-mnist"):
        load("fashion-mnits", SMOKE)


def write_fashion(folder, images=60_000):
    folder.mkdir(parents=True)
    for prefix, number in (("train", images), ("t10k", 10_000)):
        pixels = bytes(16) + bytes(number * 784)
        labels = bytes(8) + bytes(i % 10 for i in range(number))
        (folder / f"{prefix}-images-idx3-ubyte.gz").write_bytes(gzip.compress(pixels, 1))
        (folder / f"{prefix}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, 1))
    return folder


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No system package, no network."""

    def refuse(name):
        raise OSError("no network")

    monkeypatch.setattr(sources, "DEBIAN_FOLDER", tmp_path / "nowhere")
    monkeypatch.setattr(sources, "_download", refuse)
    monkeypatch.setattr(sources, "_unpack_debian_package", lambda: refuse(""))


def test_the_users_own_files_come_first(tmp_path, offline):
    write_fashion(tmp_path / "mine" / "FashionMNIST" / "raw")
    data = load("fashion-mnist", SMOKE, root=tmp_path / "mine")
    assert len(data.owner) == SMOKE.train_images
    assert data.owner.classes[2] == "Pullover"


def test_a_truncated_file_is_named(tmp_path, offline):
    raw = write_fashion(tmp_path / "mine" / "FashionMNIST" / "raw")
    packed = raw / "train-images-idx3-ubyte.gz"
    packed.write_bytes(packed.read_bytes()[:-40])
    with pytest.raises(DataNotFound, match=r"train-images-idx3-ubyte\.gz is cut off"):
        load("fashion-mnist", SMOKE, root=tmp_path / "mine")


def test_a_file_of_another_length_is_named(tmp_path, offline):
    write_fashion(tmp_path / "mine", images=50_000)
    with pytest.raises(DataNotFound, match=r"instead of"):
        load("fashion-mnist", SMOKE, root=tmp_path / "mine")


def test_nothing_found_lists_what_was_tried_and_the_ways_out(tmp_path, offline):
    with pytest.raises(DataNotFound) as caught:
        load("fashion-mnist", SMOKE, root=tmp_path / "no such folder")
    for words in (
        "MEA_DATA",
        "system package",
        "download by torchvision",
        "dataset-fashion-mnist",
        "no network",
    ):
        assert words in str(caught.value)


def test_queries_are_the_same_for_everybody_and_carry_no_labels(digits):
    again = load("digits", SMOKE)
    assert torch.equal(again.queries, digits.queries)
    assert not hasattr(digits, "query_labels")


def test_image_sets_refuse_wrong_types_and_shapes():
    good = torch.zeros(3, 1, 16, 16, dtype=torch.uint8)
    labels = torch.tensor([0, 1, 2])
    with pytest.raises(TypeError, match="uint8"):
        mea.ImageSet(good.float(), labels, ("a", "b", "c"), "x")
    with pytest.raises(ValueError, match="1 or 3 channels"):
        mea.ImageSet(good.expand(3, 2, 16, 16), labels, ("a", "b", "c"), "x")
    with pytest.raises(ValueError, match="as many labels"):
        mea.ImageSet(good, labels[:2], ("a", "b", "c"), "x")
    with pytest.raises(ValueError, match="between 0 and 1"):
        mea.ImageSet(good, labels, ("a", "b"), "x")
