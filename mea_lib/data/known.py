"""The data sets that have a name: their files in torchvision's layout, and the ways to fetch them.

Every file that is read is checked: Fashion-MNIST's by `fashion_files`, the others' by torchvision's
checksums.
"""

from pathlib import Path

import torch

from mea_lib.data import debian
from mea_lib.data.class_order import OWN_ORDER
from mea_lib.data.download import download
from mea_lib.data.fashion_files import fashion_files
from mea_lib.data.fetch import Sets, Way
from mea_lib.data.images import ImageSet

KINDS = {"fashion-mnist": "FashionMNIST", "cifar-10": "CIFAR10", "cifar-100": "CIFAR100", "stl-10": "STL10"}
FASHION_RAW = Path("FashionMNIST") / "raw"


def read_files(name: str, root: Path) -> Sets:
    """A data set from a folder in torchvision's layout, or Fashion-MNIST's files in the folder itself.

    Raises:
        FileNotFoundError: where it is not there. ValueError: where a file is damaged.
    """
    folder = _files_of(name, root)
    if folder is None:
        raise FileNotFoundError(f"no files of {name} in {root}")
    if name == "fashion-mnist":
        return fashion_files(folder)
    try:
        return _torchvision(name, root, True), _torchvision(name, root, False)
    except RuntimeError as error:
        raise ValueError(
            f"{folder} is damaged: a file is missing or its checksum is another; delete it and fetch it again"
        ) from error


def has_files(name: str, root: Path) -> bool:
    """Whether `read_files` would find the data set's files, whole or not."""
    return _files_of(name, root) is not None


def ways(name: str) -> list[Way]:
    """How a data set can be fetched, in the order in which it is tried."""
    listed = [
        Way(
            "download from torchvision's mirror",
            lambda folder: _get(name, folder),
            lambda r: read_files(name, r),
        )
    ]
    if name == "fashion-mnist":
        listed.append(
            Way(
                f"Debian's package {debian.PACKAGE}, unpacked without root",
                lambda folder: _get_package(folder),
                lambda root: fashion_files(debian.unpacked(root / debian.PACKAGE)),
            )
        )
    return listed


def _files_of(name: str, root: Path) -> Path | None:
    if name == "fashion-mnist":
        folders = (root / FASHION_RAW, root / "raw", root)
        return next((folder for folder in folders if list(folder.glob("train-images-idx3-ubyte*"))), None)
    folder = root / _kind(name).base_folder
    return folder if folder.is_dir() else None


def _kind(name: str) -> type:
    """Torchvision's class of this data set."""
    from torchvision import datasets  # here, since it takes two seconds that cached data do not need

    return getattr(datasets, KINDS[name])


def _torchvision(name: str, root: Path, train: bool) -> ImageSet:
    if name == "stl-10":
        raw = _kind(name)(root, split="train" if train else "test")
        images, labels, classes = torch.from_numpy(raw.data), torch.from_numpy(raw.labels), OWN_ORDER[name]
    else:
        raw = _kind(name)(root, train=train)
        images = torch.from_numpy(raw.data).permute(0, 3, 1, 2).contiguous()
        labels, classes = torch.tensor(raw.targets), raw.classes
    return ImageSet(images, labels.long(), tuple(classes), name)


def _get(name: str, folder: Path) -> None:
    """Download from the addresses that torchvision knows, and unpack what has been compared with its checksum."""
    from torchvision.datasets.utils import extract_archive

    kind = _kind(name)
    if name == "fashion-mnist":
        raw = folder / FASHION_RAW
        raw.mkdir(parents=True)
        for file, md5 in kind.resources:
            download([mirror + file for mirror in kind.mirrors], raw / file, md5)
        return
    packed = folder / kind.filename
    download([kind.url], packed, kind.tgz_md5)
    extract_archive(str(packed), str(folder), remove_finished=True)


def _get_package(folder: Path) -> None:
    (folder / debian.PACKAGE).mkdir()
    debian.unpack_package(folder / debian.PACKAGE)
