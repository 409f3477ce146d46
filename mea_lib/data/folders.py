"""Class folders of images, and folders of unlabelled ones.

Files are found by `find_images`, decoded by the rule of `decode`, and kept as `decoded` says. Classes are in
the order of their names, as in torchvision's ImageFolder, unless they are those of a data set that has an
order of its own (`class_order`); a name written in two Unicode forms is one name.
"""

from pathlib import Path

import torch
from torch import Tensor

from mea_lib.data.class_order import OWN_ORDER, own_names
from mea_lib.data.decoded import decode_files
from mea_lib.data.find_images import ENDINGS, find_images, plain_name, visible
from mea_lib.data.images import ImageSet
from mea_lib.data.parties import DRAW_SEED
from mea_lib.data.reading import Part, Parts, Reading, Tally

TRAIN = ("train", "training")
TEST = (("test", "testing"), ("val", "valid", "validation"))  # the first that there is
NO_CLASS = "lies beside the class folders, so that it has no class"
NOT_READ = "neither the training nor the test folder"

Files = dict[str, list[Path]]  # of each class


def class_folders(folder: Path, *, name: str | None = None, size: int | None = None) -> Parts:
    """Images from class folders: <train>/<class>/** and <test>/<class>/**, or <class>/**.

    The folder for training may be called train or training, that for the test test, testing, val, valid or
    validation. Without them a fifth of each class, at least one image, is kept for the test. The order of
    images is drawn, the same for everybody, so that the first thousand hold every class.

    Args:
        folder: holds the parts or the classes.
        name: of a known data set; by default the folder's own.
        size: height and width in pixels to which all images are brought; by default they must have one square
            size.

    Raises:
        ValueError: for an empty folder, a class in one part only or with too few images, a file that cannot
            be decoded, or images of different sizes; names the folder or file.
    """
    left_out: dict[str, Tally] = {}
    train, test = _parts_of(folder, left_out)
    classes = _classes(folder, train, test, name)
    labelled = [_in_order(part, classes) for part in ([train, test] if test else [train])]
    paths = [[path for path, _ in part] for part in labelled]
    decoded = decode_files(folder, paths, size=size)
    sets = []
    for images, part in zip(decoded.images, labelled, strict=True):
        labels = torch.tensor([label for _, label in part])
        whole = ImageSet(images, labels, tuple(classes.values()), name or folder.name)
        sets.append(whole.subset(torch.randperm(len(whole), generator=_draw())))
    both = tuple(sets) if test else _split(sets[0], folder)
    tallies = {"done": decoded.done, "left_out": tuple(left_out.values())}
    return Parts.of(*both, f"class folders in {folder}", **tallies)


def image_folder(
    folder: str | Path,
    *,
    like: ImageSet | None = None,
    channels: int | None = None,
    size: int | None = None,
) -> tuple[Tensor, Reading]:
    """Unlabelled images from a folder and its subfolders: a query pool for an adversary.

    Args:
        folder: holds images, in subfolders or not; the names of subfolders mean nothing.
        like: images whose channels and size they are brought to.
        channels, size: the same, one by one, where `like` is not given; by default as the images are.

    Returns:
        (N, C, H, W) uint8 in a drawn order, the same for everybody, and the summary of what was read.

    Raises:
        ValueError: for a folder without images, a file that cannot be decoded, or, without a size, images of
            different sizes; names the folder or file.
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder}; name one that holds images")
    if like is not None:
        channels, size = like.channels, like.size
    if channels not in (None, 1, 3) or (size is not None and size < 1):
        raise ValueError(
            f"images have 1 or 3 channels and at least 1 pixel, not channels={channels}, size={size}"
        )
    left_out: dict[str, Tally] = {}
    files = find_images(folder, left_out, folder)
    if not files:
        raise ValueError(f"{folder} holds no image; put files ending in {', '.join(ENDINGS)} there")
    decoded = decode_files(folder, [files], size=size, channels=channels)
    images = decoded.images[0][torch.randperm(len(files), generator=_draw())]
    part = Part("pool", (), len(images))
    tallies = {"done": decoded.done, "left_out": tuple(left_out.values())}
    return images, Reading(f"images in {folder}", (part,), images.shape[1], images.shape[2], **tallies)


def has_class_folders(folder: Path) -> bool:
    """Whether a folder is one of training and test folders, each with folders in it."""
    if not folder.is_dir():
        return False
    train, test = _layout(visible(folder, {}, folder))
    return bool(train and test) and any(child.is_dir() for child in visible(train, {}, folder))


def _layout(children: list[Path]) -> tuple[Path | None, Path | None]:
    """The training and the test folder among these."""
    named = {child.name.lower(): child for child in children if child.is_dir()}
    train = next((named[name] for name in TRAIN if name in named), None)
    test = next((named[name] for names in TEST for name in names if name in named), None)
    return train, test


def _parts_of(folder: Path, left_out: dict[str, Tally]) -> tuple[Files, Files]:
    """Files of each class for training and test; the second is empty where there are class folders alone."""
    children = visible(folder, left_out, folder)
    train, test = _layout(children)
    if not (train and test):
        return _class_files(children, left_out, folder), {}
    for child in children:
        if child not in (train, test):
            Tally.count(left_out, NOT_READ, child.name)
    return tuple(_class_files(visible(part, left_out, folder), left_out, folder) for part in (train, test))


def _class_files(children: list[Path], left_out: dict[str, Tally], root: Path) -> Files:
    files: Files = {}
    for child in children:
        if child.is_dir():
            files.setdefault(plain_name(child.name), []).extend(find_images(child, left_out, root))
        else:
            Tally.count(left_out, NO_CLASS, str(child.relative_to(root)))
    return files


def _classes(folder: Path, train: Files, test: Files, name: str | None) -> dict[str, str]:
    """The name of the class that each folder stands for, in the order of the classes."""
    odd = train.keys() ^ test.keys()
    if test and odd:
        raise ValueError(
            f"{folder}: these classes are not in both train and test: {', '.join(sorted(odd))}; "
            "add what is missing, or leave them out of both"
        )
    if len(train) < 3:
        there = f" ({', '.join(sorted(train))})" if train else ""
        raise ValueError(
            f"{folder} has {len(train)} class folders{there}; it needs at least 3, each with the "
            "images of one class, in it or in its folders train and test"
        )
    for part, files in (("train", train), ("test", test)):
        for empty in (class_name for class_name in files if not files[class_name]):
            where = f"{part} folder's class {empty}" if test else f"class folder {empty}"
            raise ValueError(
                f"{folder}: the {where} holds no image; put files ending in {', '.join(ENDINGS)} there"
            )
    folders = own_names(sorted(train), name)
    if folders is None and name in OWN_ORDER:
        raise ValueError(
            f"{folder} is to hold {name}, but its class folders are {', '.join(sorted(train))}, and not "
            f"{', '.join(OWN_ORDER[name])}; load another data set by the path of its folder"
        )
    return folders or {name: name for name in sorted(train)}


def _in_order(files: Files, classes: dict[str, str]) -> list[tuple[Path, int]]:
    return [(path, label) for label, name in enumerate(classes) for path in files[name]]


def _draw() -> torch.Generator:
    return torch.Generator().manual_seed(DRAW_SEED)


def _split(whole: ImageSet, folder: Path) -> tuple[ImageSet, ImageSet]:
    """A fifth of every class for the test, at least one image, and the others for training."""
    number, counts = len(whole.classes), whole.by_class[1].tolist()
    few = [f"{name} ({count})" for name, count in zip(whole.classes, counts, strict=True) if count < 3]
    if few:
        raise ValueError(
            f"{folder} has no test folder, so each class needs at least 3 images, one for owner, "
            f"adversary and judge; too few are in {', '.join(few)}"
        )
    wanted, taken, test = [max(1, count // 5) for count in counts], [0] * number, []
    for place, label in enumerate(whole.labels.tolist()):
        if taken[label] < wanted[label]:
            taken[label] += 1
            test.append(place)
    judged = set(test)
    return whole.subset([place for place in range(len(whole)) if place not in judged]), whole.subset(test)
