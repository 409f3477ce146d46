"""Class folders as people have them: each oddity is read, passed over and said, or named in an error."""

import os
import shutil
import unicodedata

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

import mea_lib as mea
from mea_lib.data.sources import read_parts

SMOKE = mea.preset("smoke")


def load(folder, **options):
    return mea.load(str(folder), SMOKE, **options)


def rewrite(folder, change, ending="png", **options):
    """Save every picture as `change` makes it."""
    for path in sorted(folder.rglob("*.png")):
        image = change(Image.open(path))
        path.unlink()
        image.save(path.with_suffix(f".{ending}"), **options)


def done(data):
    return {tally.what: tally.number for tally in data.read.done}


def left_out(data):
    return {tally.what: (tally.number, tally.first) for tally in data.read.left_out}


@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("L", 1)])
def test_class_folders(tmp_path, write_tree, mode, channels):
    data = load(write_tree(tmp_path / "animals", mode=mode, number=6))
    assert data.owner.classes == ("cat", "dog", "owl")
    for images in (data.owner, data.adversary):
        assert images.images.shape == (9, channels, 16, 16)
    assert data.test.images.shape == (18, channels, 16, 16)
    for images in (data.owner, data.adversary, data.test):
        for label, name in enumerate(images.classes):
            assert (images.of_class(name) // 60 == label).float().mean() > 0.9
    assert len(data.queries) == 9
    assert data.read.describe().splitlines() == [
        f"class folders in {tmp_path / 'animals'}",
        "  train: 18 images (cat 6, dog 6, owl 6)",
        "  test: 18 images (cat 6, dog 6, owl 6)",
        f"  16×16 pixels, {'grey' if channels == 1 else 'RGB'}",
    ]


def test_the_first_images_of_class_folders_are_of_every_class(tmp_path, write_tree):
    data = load(write_tree(tmp_path / "animals", number=40))
    for part in (data.owner, data.adversary, data.test):
        assert set(part.labels[:20].tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    "names", [("train", "val"), ("Train", "Valid"), ("training", "validation"), ("train", "Testing")]
)
def test_the_parts_may_be_called_otherwise(tmp_path, write_tree, names):
    data = load(write_tree(tmp_path / "animals", parts=names))
    assert (len(data.owner) + len(data.adversary), len(data.test)) == (15, 15)
    assert not data.read.left_out


def test_of_validation_and_test_the_test_is_read(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals", parts=("train", "val", "test"))
    shutil.rmtree(folder / "val" / "dog")
    data = load(folder)
    assert left_out(data) == {"neither the training nor the test folder": (1, ["val"])}


def test_one_level_of_class_folders_is_split(tmp_path, write_tree):
    data = load(write_tree(tmp_path / "animals", parts=("",), number=10))
    assert data.test.by_class[1].tolist() == [2, 2, 2]
    assert (len(data.owner), len(data.adversary)) == (12, 12)


def test_a_small_folder_has_every_class_on_both_sides(tmp_path, write_tree):
    names = tuple(f"class {number}" for number in range(12))
    data = load(write_tree(tmp_path / "small", parts=("",), number=3, classes=names))
    for part in (data.owner, data.adversary, data.test):
        assert part.by_class[1].tolist() == [1] * 12
    shutil.rmtree(tmp_path / "small" / "class 7")
    (tmp_path / "small" / "class 7").mkdir()
    for index in range(2):
        shutil.copy(tmp_path / "small" / "class 1" / f"{index}.png", tmp_path / "small" / "class 7")
    with pytest.raises(ValueError, match=r"needs at least 3 images.*too few are in class 7 \(2\)"):
        load(tmp_path / "small")


def test_sixteen_bits(tmp_path, write_tree):
    """Not all white, as clipping made them."""
    folder = write_tree(tmp_path / "animals", mode="L")
    expected = load(folder)
    rewrite(folder, lambda image: Image.fromarray(np.asarray(image).astype(np.uint16) * 257))
    data = load(folder)
    assert torch.equal(data.owner.images, expected.owner.images)
    assert done(data) == {"scaled from 16 bits to 8": 30}


@pytest.mark.parametrize("grey_part", ["train", "test"])
def test_colour_in_one_part_and_grey_in_the_other(tmp_path, write_tree, grey_part):
    folder = write_tree(tmp_path / "animals")
    rewrite(folder / grey_part, lambda image: image.convert("L"))
    data = load(folder)
    assert data.owner.channels == data.test.channels == 3
    grey = data.owner if grey_part == "train" else data.test
    assert torch.equal(grey.images[:, 0], grey.images[:, 2])
    assert done(data) == {"grey spread over three channels": 15, "in colour, so that all become RGB": 15}


def test_one_colour_file_among_grey_ones(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals", mode="L")
    Image.new("RGB", (16, 16), "red").save(folder / "train" / "cat" / "1.png")
    data = load(folder)
    assert data.owner.channels == data.test.channels == 3
    assert "in colour, so that all become RGB: 1 (train/cat/1.png)" in data.read.describe()


def test_two_sizes_are_named_before_anything_is_trained(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals")
    rewrite(folder / "test", lambda image: image.resize((14, 14)))
    with pytest.raises(ValueError, match=r"test/cat/0\.png has 14×14 .*train/cat/0\.png 16×16.*size=32"):
        load(folder)
    data = load(folder, size=16)
    assert data.owner.size == data.test.size == 16
    assert done(data) == {"brought to 16×16 pixels": 15}
    assert "(test/cat/0.png from 14×14, " in data.read.describe()


def test_what_is_not_square_is_named_or_squeezed(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals")
    rewrite(folder, lambda image: image.resize((24, 12)))
    with pytest.raises(ValueError, match=r"0\.png has 24×12 pixels and images must be square; give a size"):
        load(folder)
    half = Image.new("L", (24, 12))
    half.paste(200, (12, 0, 24, 12))
    half.save(folder / "train" / "cat" / "0.png")
    images = read_parts(str(folder), size=12).train.images
    assert images.shape[1:] == (3, 12, 12)
    halves = torch.tensor([0.0] * 6 + [200.0] * 6)  # nothing is cut off on either side
    assert (images.float().mean((1, 2)) - halves).abs().amax(1).min() < 30


def test_a_size_is_at_least_one(tmp_path, write_tree):
    with pytest.raises(ValueError, match="at least 1, not 0"):
        load(write_tree(tmp_path / "animals"), size=0)


def test_pictures_on_their_side_are_upright(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals")
    expected = load(folder)
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    rewrite(folder, lambda image: image.transpose(Image.Transpose.ROTATE_90), exif=exif)
    data = load(folder)
    assert torch.equal(data.owner.images, expected.owner.images)
    assert done(data) == {"turned upright by EXIF": 30}


def test_transparent_pictures_are_composed_on_white(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals")

    def with_hidden_colours(image):
        image.putalpha(0)
        return image

    rewrite(folder / "test", with_hidden_colours)
    data = load(folder)
    assert data.test.images.min() == 255
    assert done(data) == {"transparency composed on white": 15}


@pytest.mark.parametrize("ending", ["tif", "TIFF", "ppm", "bmp", "PNG", "webp", "gif"])
def test_other_endings_are_read(tmp_path, write_tree, ending):
    folder = write_tree(tmp_path / "animals", mode="L")
    count = {"lossless": True} if ending == "webp" else {}
    rewrite(folder / "train", lambda image: image, ending, **count)
    assert load(folder).read.parts[0].number == 15


def test_subfolders_are_read(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals")
    before = load(folder)
    nested = folder / "train" / "cat" / "2024" / "may"
    nested.mkdir(parents=True)
    for number in (1, 2, 3):
        (folder / "train" / "cat" / f"{number}.png").rename(nested / f"{number}.png")
    after = load(folder)
    assert len(after.owner) == len(before.owner)
    assert after.owner.by_class[1].tolist() == before.owner.by_class[1].tolist()


def test_what_no_person_put_there_is_passed_over_and_said(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals")
    before = load(folder)
    for junk in (
        ".ipynb_checkpoints",
        "__MACOSX",
        "train/.ipynb_checkpoints",
        "test/__MACOSX",
        "train/cat/@eaDir",
    ):
        (folder / junk).mkdir()
        shutil.copy(folder / "train" / "cat" / "0.png", folder / junk / "0-checkpoint.png")
    for junk in ("train/cat/._0.png", "train/.DS_Store", "test/dog/Thumbs.db"):
        (folder / junk).write_bytes(b"\x00\x05\x16\x07")
    data = load(folder)
    assert data.owner.digest() == before.owner.digest()
    assert data.test.digest() == before.test.digest()
    number, first = left_out(data)["hidden or the system's own"]
    assert number == 8
    assert first == [".ipynb_checkpoints", "__MACOSX", "train/.DS_Store"]


def test_other_files_are_left_out_and_said(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals")
    (folder / "readme.txt").write_text("pictures of animals")
    (folder / "train" / "labels.csv").write_text("0.png,cat")
    (folder / "train" / "cat" / "raw.heic").write_bytes(b"heic")
    (folder / "train" / "cat" / "noending").write_bytes(b"?")
    assert left_out(load(folder)) == {
        "neither the training nor the test folder": (1, ["readme.txt"]),
        "lies beside the class folders, so that it has no class": (1, ["train/labels.csv"]),
        "ending .heic, which is no image's that is read": (1, ["train/cat/raw.heic"]),
        "no ending, which is no image's that is read": (1, ["train/cat/noending"]),
    }


def test_links_are_followed_once_and_never_in_a_circle(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals")
    elsewhere = tmp_path / "more"
    shutil.move(folder / "train" / "cat", elsewhere)
    (folder / "train" / "cat").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "again").symlink_to(elsewhere, target_is_directory=True)
    (elsewhere / "gone.png").symlink_to(tmp_path / "nowhere.png")
    os.mkfifo(elsewhere / "pipe.png")
    data = load(folder)
    assert data.read.parts[0].number == 15
    assert left_out(data) == {
        "folder read already, reached again by a link": (1, ["train/cat/again"]),
        "link that leads nowhere": (1, ["train/cat/gone.png"]),
        "no ordinary file": (1, ["train/cat/pipe.png"]),
    }


def test_a_class_in_two_unicode_forms_is_one_class(tmp_path, write_tree):
    composed, apart = (unicodedata.normalize(form, "étoile") for form in ("NFC", "NFD"))
    folder = write_tree(tmp_path / "shapes", classes=("circle", composed, "square"))
    (folder / "test" / composed).rename(folder / "test" / apart)
    assert load(folder).owner.classes == ("circle", "square", composed)
    both = folder / "train" / apart
    both.mkdir()
    Image.new("RGB", (16, 16), "red").save(both / "other.png")
    assert load(folder).read.parts[0].classes[2] == (composed, 6)


def break_empty_class(folder):
    shutil.rmtree(folder / "train" / "dog")
    (folder / "train" / "dog").mkdir()
    (folder / "train" / "dog" / "notes.txt").write_text("none yet")


def break_odd_class(folder):
    shutil.rmtree(folder / "test" / "dog")


def break_file(folder):
    (folder / "train" / "cat" / "1.png").write_bytes(b"no image")


def break_half_a_file(folder):
    path = folder / "train" / "cat" / "1.png"
    path.write_bytes(path.read_bytes()[:-80])


def break_size(folder):
    Image.new("RGB", (16, 18)).save(folder / "train" / "cat" / "1.png")


def break_range(folder):
    Image.fromarray(np.full((16, 16), 300, np.float32)).save(folder / "train" / "cat" / "1.tif")


def break_giant(folder):
    Image.new("1", (8_001, 8_001)).save(folder / "train" / "cat" / "1.png")


def break_postscript(folder):
    Image.new("L", (16, 16)).save(folder / "train" / "cat" / "1.png", "EPS")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_empty_class, r"train folder's class dog holds no image; put files ending in \.png"),
        (break_odd_class, r"not in both train and test: dog"),
        (break_file, r"cat/1\.png is not an image"),
        (break_half_a_file, r"cat/1\.png is not an image.*repair or remove it"),
        (break_size, r"cat/1\.png has 16×18 pixels and .*cat/0\.png 16×16"),
        (break_range, r"cat/1\.tif holds floats from 300 to 300, whose range is not known"),
        (break_giant, r"cat/1\.png has 64,016,001 pixels"),
        (break_postscript, r"cat/1\.png is not an image"),
    ],
)
def test_damaged_folders_are_named_and_leave_nothing(tmp_path, write_tree, own_cache, damage, message):
    folder = write_tree(tmp_path / "animals")
    damage(folder)
    with pytest.raises(ValueError, match=message):
        load(folder)
    assert not [path for path in own_cache.glob("*") if path.suffix != ".lock"]


def test_too_few_classes(tmp_path, write_tree):
    with pytest.raises(ValueError, match="has 0 class folders; it needs at least 3"):
        load(tmp_path)
    write_tree(tmp_path / "outer" / "animals")
    with pytest.raises(ValueError, match=r"has 1 class folders \(animals\)"):
        load(tmp_path / "outer")


def test_the_summary_is_logged_once_and_loudly_where_something_was_left_out(tmp_path, write_tree, caplog):
    folder = write_tree(tmp_path / "animals")
    caplog.set_level("INFO", "mea_lib.data")
    for _ in range(3):
        load(folder)
    assert [record.levelname for record in caplog.records] == ["INFO"]
    (folder / "train" / "cat" / "x.heic").write_bytes(b"?")
    for _ in range(3):
        load(folder)
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
    assert "train/cat/x.heic" in caplog.text
