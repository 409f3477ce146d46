"""Where images come from: the user's own folder, the system's package, a download.

Every source either gives the whole data set or says why it cannot; what it says ends up in one error.
"""

import logging
import os
from dataclasses import replace
from pathlib import Path

import torch

from mea_lib.data import debian
from mea_lib.data.class_order import own_names
from mea_lib.data.fashion_files import fashion_files
from mea_lib.data.fetch import DataNotFound, fetch
from mea_lib.data.find_images import plain_name, visible
from mea_lib.data.folders import class_folders, has_class_folders, image_folder
from mea_lib.data.images import Data, ImageSet
from mea_lib.data.known import has_files, read_files, ways
from mea_lib.data.parties import DRAW_SEED, image_digests, split_parties
from mea_lib.data.reading import Part, Parts, Tally
from mea_lib.data.resize import to_form
from mea_lib.names import DATA_SETS
from mea_lib.scale import Scale, preset

QUERIES = ("adversary", "owner")
ANOTHERS = "an image that is also the owner's or the judge's"

_log = logging.getLogger("mea_lib.data")


def load(
    name: str | Path,
    scale: Scale | None = None,
    *,
    root: str | Path | None = None,
    device: torch.device | str = "cpu",
    queries: str = "adversary",
    size: int | None = None,
    pool: str | Path | None = None,
) -> Data:
    """A data set as its three parties have it, who share no image (`split_parties`).

    Args:
        name: "fashion-mnist", "cifar-10", "cifar-100", "stl-10", "digits" (scikit-learn's, for tests), or the
            path of a folder of class folders: train/<class>/* and test/<class>/*, or <class>/*, of which a
            fifth is then kept for the test; `class_folders` says how they are read.
        scale: decides how many images the owner trains on and the adversary queries; by default the one
            MEA_SCALE names.
        root: folder with the user's own data, in torchvision's layout or as class folders; by default the
            one MEA_DATA names. It must be there and hold the data set: no other source is tried.
        device: where the images are to live.
        queries: "adversary" for images of the adversary's own; "owner" for the images the owner trains on, as
            in the paper and its released code.
        size: height and width in pixels to which all images are brought (`to_form`: bilinear, antialiased,
            squeezed where they are not square); by default they stay as they are, and those of folders must
            have one square size.
        pool: folder of unlabelled images that the adversary queries in place of their own, in subfolders or
            not. They are brought to the owner's channels and size; any that is the owner's or the judge's is
            left out.

    Returns:
        the owner's, the adversary's and the judge's images; `read` says what was read and what was left out.

    Raises:
        DataNotFound: when no source had it. ValueError: for an unknown name, other queries, or a folder whose
            images cannot be used; names the file.
    """
    if queries not in QUERIES:
        raise ValueError(f"unknown queries {queries!r}; choose one of: {', '.join(QUERIES)}")
    if pool is not None and queries == "owner":
        raise ValueError(
            "queries='owner' asks about the owner's images and pool= about others; choose one of them"
        )
    scale, name = scale or preset(), str(name)
    parts = read_parts(name, root, size)
    owner, adversary = split_parties(parts.train, parts.test)
    if queries == "owner":
        adversary = owner
    if scale.train_images is not None:
        owner = owner.subset(scale.train_images)
    adversary = adversary.subset(scale.query_images + scale.held_out_images)
    test = parts.test if scale.test_images is None else parts.test.subset(scale.test_images)
    data = Data(
        name,
        owner.to(device),
        adversary.to(device),
        test.to(device),
        scale.query_images,
        read=parts.read,
    )
    if pool is not None:
        data = _with_pool(data, pool)
    data.read.say()
    return data


def read_parts(
    name: str, root: str | Path | None = None, size: int | None = None, *, again: bool = False
) -> Parts:
    """Training and test images of a data set, before parties are drawn.

    Args:
        name, root, size: as for `load`.
        again: whether a download is tried although it failed a moment ago.

    Raises: as `load`.
    """
    if size is not None and size < 1:
        raise ValueError(f"a size is a number of pixels, at least 1, not {size}")
    chosen = Path(root or os.environ["MEA_DATA"]).expanduser() if root or os.environ.get("MEA_DATA") else None
    if chosen is not None and not chosen.is_dir():
        raise DataNotFound(
            f"{_named(root)} is {chosen}, and there is no such folder; name one that holds {name}, "
            "or leave it out"
        )
    if name == "digits":
        return _sized(_digits(), size)
    if name in DATA_SETS:
        return _from_root(name, chosen, root, size) if chosen else _sized(_from_system(name, again), size)
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise ValueError(
            f"unknown data set {name!r}: it is neither one of {', '.join(DATA_SETS)} "
            "nor a folder of class folders"
        )
    return class_folders(folder, size=size)


def _named(root: str | Path | None) -> str:
    return "root" if root else "MEA_DATA"


def _from_root(name: str, root: Path, given: str | Path | None, size: int | None) -> Parts:
    """The data set from the user's folder, which is the only source where there is one."""
    try:
        places = [place for place in (root / name, root / name.replace("-", ""), root) if place.is_dir()]
        for folder in places:
            if has_class_folders(folder) or _holds_classes(folder, name):
                return class_folders(folder, name=name, size=size)
        for folder in places:
            if has_files(name, folder):
                return _sized(Parts.of(*read_files(name, folder), f"files in {folder}"), size)
        raise FileNotFoundError("there are neither its files nor class folders")
    except (OSError, ValueError) as error:
        raise DataNotFound(
            f"{_named(given)} is {root}, but {name} cannot be read from it: {error}. Put it there, in "
            f"torchvision's layout or as class folders, or leave {_named(given)} out to have it fetched"
        ) from error


def _holds_classes(folder: Path, name: str) -> bool:
    children = [plain_name(child.name) for child in visible(folder, {}, folder) if child.is_dir()]
    return own_names(children, name) is not None


def _from_system(name: str, again: bool) -> Parts:
    """The data set from the system's package, the cache, or the internet."""
    tried = []
    if name == "fashion-mnist":
        try:
            return Parts.of(*fashion_files(debian.FOLDER), f"system package in {debian.FOLDER}")
        except (OSError, ValueError) as error:
            tried.append(f"system package: {error}")
            if not isinstance(error, FileNotFoundError):
                _log.warning("%s", error)
    try:
        sets, source = fetch(name, ways(name), again=again)
    except DataNotFound as error:
        ways_out = "set MEA_DATA to a folder that holds it (torchvision's files, or class folders of images)"
        if name == "fashion-mnist":
            ways_out += f", or install Debian's package {debian.PACKAGE}"
        raise DataNotFound(
            f"{name} was not found. Tried:\n  "
            + "\n  ".join([*tried, str(error)])
            + f"\nTo go on, {ways_out}, or connect to the internet."
        ) from error
    return Parts.of(*sets, source)


def _sized(parts: Parts, size: int | None) -> Parts:
    if size in (None, parts.train.size):
        return parts
    train, test = (
        replace(part, images=to_form(part.images, part.channels, size)) for part in (parts.train, parts.test)
    )
    read = replace(
        parts.read, size=size, source=f"{parts.read.source}, brought from {parts.read.size} pixels"
    )
    return Parts(train, test, read)


def _with_pool(data: Data, folder: str | Path) -> Data:
    images, read = image_folder(folder, like=data.owner)
    taken = {*image_digests(data.owner.images), *image_digests(data.test.images)}
    free = [place for place, digest in enumerate(image_digests(images)) if digest not in taken]
    if not free:
        raise ValueError(f"all images in {folder} are the owner's or the judge's; give the adversary others")
    if len(free) < len(images):
        number = len(images) - len(free)
        left_out = (*read.left_out, Tally(ANOTHERS, number, []))
        read = replace(read, parts=(Part("pool", (), len(free)),), left_out=left_out)
    return replace(data.with_queries(images[free]), read=data.read.beside(read))


def _digits() -> Parts:
    """scikit-learn's 1,797 digits of 8×8, enlarged to 16×16; a fifth of them, drawn, for the test."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = torch.from_numpy(bunch.images / 16 * 255).round().to(torch.uint8)
    images = small.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None]
    whole = ImageSet(images, torch.from_numpy(bunch.target).long(), tuple(map(str, range(10))), "digits")
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(DRAW_SEED))
    test = len(whole) // 5
    return Parts.of(whole.subset(order[test:]), whole.subset(order[:test]), "scikit-learn's digits")
