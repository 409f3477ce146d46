"""What `load` gives: the data set that was named, in its own order, as its parties have it."""

import pytest
import torch
from PIL import Image

import mea_lib as mea
from mea_lib.data import image_folder
from mea_lib.data.class_order import FASHION, own_names
from mea_lib.data.resize import to_form
from mea_lib.data.sources import DataNotFound, load

SMOKE = mea.preset("smoke")
FOLDERS = tuple(name.replace("/", "_").replace(" ", "_") for name in FASHION)  # as people can call them


def test_unknown_name():
    with pytest.raises(ValueError, match="fashion-mnist"):
        load("fashion-mnits", SMOKE)


def test_the_order_of_classes_is_the_data_sets(tmp_path, write_tree):
    """Fashion-MNIST as class folders is Fashion-MNIST: class 0 is T-shirt/top, not Ankle boot."""
    folder = write_tree(tmp_path / "clothes", classes=FOLDERS, number=4, mode="L")
    for options in ({"name": str(folder)}, {"name": "fashion-mnist", "root": folder}):
        data = load(**options, scale=SMOKE)
        assert data.owner.classes == FASHION
        assert (
            data.test.of_class("Ankle boot") // 60 == FOLDERS.index("Ankle_boot") % 3
        ).float().mean() > 0.9
    (tmp_path / "mine").mkdir()
    folder.rename(tmp_path / "mine" / "fashion-mnist")
    assert load("fashion-mnist", SMOKE, root=tmp_path / "mine").owner.classes == FASHION


def test_a_folder_may_be_given_as_a_path(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals")
    assert load(folder, SMOKE).name == str(folder)


def test_numbered_folders_stand_for_the_named_data_sets_classes(tmp_path, write_tree):
    folder = write_tree(tmp_path / "clothes", classes=tuple("0123456789"), parts=("",), mode="L")
    assert load("fashion-mnist", SMOKE, root=folder).owner.classes == FASHION
    assert load(str(folder), SMOKE).owner.classes == tuple("0123456789")


def test_another_data_sets_folders_are_not_the_named_one(tmp_path, write_tree):
    with pytest.raises(
        DataNotFound, match="is to hold fashion-mnist, but its class folders are cat, dog, owl"
    ):
        load("fashion-mnist", SMOKE, root=write_tree(tmp_path / "animals"))


def test_classes_are_told_by_letters_and_digits_whatever_stands_between():
    stl = ["airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck"]
    assert list(own_names(stl)) == stl
    assert list(own_names(sorted(["TShirt", "ankle-boot", *FOLDERS[1:9]])).values()) == list(FASHION)
    assert own_names([*stl[:9], "lorry"]) is None
    assert own_names(stl, "cifar-10") is None
    assert own_names(list("0123456789")) is None


def test_a_named_data_set_is_brought_to_a_size(digits):
    larger = load("digits", SMOKE, size=28)
    assert torch.equal(larger.test.images, to_form(digits.test.images, 1, 28))
    assert larger.read.size == 28
    with pytest.raises(ValueError, match="at least 1, not 0"):
        load("digits", SMOKE, size=0)


def test_the_summary_says_what_was_read(digits):
    first, train, *_ = digits.read.describe().splitlines()
    assert first == "scikit-learn's digits"
    assert train.startswith("  train: 1,438 images (0 1")
    counts = dict(digits.read.parts[1].classes)
    assert sum(counts.values()) == digits.read.parts[1].number == 359
    assert counts["7"] == len(digits.test.of_class("7"))


@pytest.fixture
def photographs(tmp_path):
    """Twelve unlabelled pictures of several sizes, in subfolders, beside what is none."""
    folder = tmp_path / "photographs"
    for number in range(12):
        where = folder / ("" if number % 2 else f"trip {number}")
        where.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20 + number, 30), (20 * number, 9, 9)).save(where / f"{number}.jpg", quality=95)
    (folder / "list.txt").write_text("12 photographs")
    return folder


def test_an_unlabelled_folder_is_a_query_pool(photographs, digits):
    images, read = image_folder(photographs, like=digits.owner)
    assert (images.shape, images.dtype) == ((12, 1, 16, 16), torch.uint8)
    assert len(images.flatten(1).float().mean(1).round().unique()) == 12
    assert read.parts[0].number == 12
    assert "left out, ending .txt, which is no image's that is read: 1 (list.txt)" in read.describe()
    asking = digits.with_queries(images)
    assert torch.equal(asking.queries, images)
    assert asking.held_out is digits.adversary


def test_without_a_shape_the_images_keep_their_own(photographs, tmp_path, write_tree):
    with pytest.raises(ValueError, match=r"\.jpg has .* pixels"):
        image_folder(photographs)
    assert image_folder(photographs, size=24)[0].shape == (12, 3, 24, 24)
    animals = write_tree(tmp_path / "animals")
    assert image_folder(animals, channels=1)[0].shape == (30, 1, 16, 16)
    assert image_folder(animals)[0].shape == (30, 3, 16, 16)


def test_load_takes_a_pool(photographs):
    data = load("digits", SMOKE, pool=photographs)
    assert data.queries.shape == (12, 1, 16, 16)
    assert [part.name for part in data.read.parts] == ["train", "test", "pool"]
    assert str(photographs) in data.read.source


def test_a_pool_shares_no_image_with_owner_and_judge(tmp_path, write_tree):
    folder = write_tree(tmp_path / "animals", number=6)
    data = load(str(folder), SMOKE, pool=folder / "train")
    assert len(data.queries) == 9
    left_out = {tally.what: tally.number for tally in data.read.left_out}
    assert left_out == {"an image that is also the owner's or the judge's": 9}
    with pytest.raises(ValueError, match="are the owner's or the judge's; give the adversary others"):
        load(str(folder), SMOKE, pool=folder / "test")


def test_pools_that_cannot_be_asked_about_are_refused(tmp_path, photographs, digits):
    with pytest.raises(ValueError, match="choose one of them"):
        load("digits", SMOKE, pool=photographs, queries="owner")
    with pytest.raises(ValueError, match="there is no folder"):
        image_folder(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty holds no image; put files ending in"):
        image_folder(tmp_path / "empty")
    with pytest.raises(ValueError, match="channels=2"):
        image_folder(photographs, channels=2, size=8)
    for wrong in (
        torch.zeros(3, 3, 16, 16, dtype=torch.uint8),
        torch.zeros(3, 1, 16, 16),
        digits.queries[:0],
    ):
        with pytest.raises(ValueError, match=r"must be uint8 of the shape \(N, 1, 16, 16\).*image_folder"):
            digits.with_queries(wrong)


@pytest.fixture(scope="module")
def parties():
    return load("digits", SMOKE)


def test_data_are_the_same_as_ever(parties):
    """The names of stored models and the committed results rest on these pixels and their order."""
    assert parties.owner.digest()[:16] == "2da3ba025883bf37"
    assert parties.test.digest()[:16] == "5dc5a37617514473"


def test_queries_are_the_same_for_everybody_and_carry_no_labels(parties):
    again = load("digits", SMOKE)
    assert torch.equal(again.queries, parties.queries)
    assert not hasattr(parties, "query_labels")


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


def test_labels_are_whole_numbers_and_each_class_has_a_name_of_its_own():
    images, labels = torch.zeros(3, 1, 16, 16, dtype=torch.uint8), torch.tensor([0, 1, 2])
    for wrong in (labels.float(), labels.bool(), labels.to(torch.uint8)):
        with pytest.raises(TypeError, match=r"x: labels must be int64.*\.long\(\)"):
            mea.ImageSet(images, wrong, ("a", "b", "c"), "x")
    with pytest.raises(ValueError, match="x: each class needs a name of its own; got a, b, a"):
        mea.ImageSet(images, labels, ("a", "b", "a"), "x")


def test_the_side_of_images_that_are_not_square_is_not_told():
    flat = mea.ImageSet(torch.zeros(2, 1, 4, 6, dtype=torch.uint8), torch.tensor([0, 0]), ("a",), "flat")
    with pytest.raises(ValueError, match="flat: images of 4 by 6 pixels"):
        _ = flat.size


def test_a_set_equals_itself_and_its_digest_tells_what_it_holds(digits):
    one, other = digits.test.subset(10), digits.test.subset(10)
    assert one == one
    assert one != other
    assert one.digest() == other.digest()
    assert len({one, other}) == 2
    assert digits == digits
    assert digits != digits.with_queries(digits.queries)


def test_no_image_is_a_set_and_less_is_none(digits):
    for nothing in (0, [], (), torch.tensor([], dtype=torch.long)):
        assert len(digits.test.subset(nothing)) == 0
    assert digits.test.subset([2, 0]).labels.tolist() == digits.test.labels[[2, 0]].tolist()
    with pytest.raises(ValueError, match="at least 0, not -1"):
        digits.test.subset(-1)
