"""Where images come from: the user's own folder, the system's package, a download.

Every source either gives the whole data set or says why it cannot; what it says ends up in one error.
"""

import gzip
import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision import datasets

from mea_lib.data.images import Data, ImageSet
from mea_lib.data.parties import DRAW_SEED, split_parties
from mea_lib.scale import Scale, preset

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
DEBIAN_PACKAGE = "dataset-fashion-mnist"
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
NAMES = ("fashion-mnist", "cifar-10", "cifar-100", "stl-10", "digits")
QUERIES = ("adversary", "owner")
IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
DOWNLOAD_SECONDS = 20

Parts = tuple[ImageSet, ImageSet]


class DataNotFound(FileNotFoundError):
    """No source could give the data set; the message lists what was tried."""


def load(
    name: str,
    scale: Scale | None = None,
    *,
    root: str | Path | None = None,
    device: torch.device | str = "cpu",
    queries: str = "adversary",
) -> Data:
    """A data set as its three parties have it, who share no image (`split_parties`).

    Args:
        name: "fashion-mnist", "cifar-10", "cifar-100", "stl-10", "digits" (scikit-learn's, for tests), or the
            path of a folder of class folders: train/<class>/* and test/<class>/*, or <class>/*, of which a
            fifth is then kept for the test.
        scale: decides how many images the owner trains on and the adversary asks about; by default the one
            MEA_SCALE names.
        root: folder with the user's own data, in torchvision's layout or as class folders; by default the
            one MEA_DATA names.
        device: where the images are to live.
        queries: "adversary" for images of the adversary's own; "owner" for the images the owner trains on, as in
            the paper and its released code.

    Returns:
        the owner's, the adversary's and the judge's images.

    Raises:
        DataNotFound: when no source had it. ValueError: for an unknown name, or other queries.
    """
    if queries not in QUERIES:
        raise ValueError(f"unknown queries {queries!r}; choose one of: {', '.join(QUERIES)}")
    scale = scale or preset()
    train, test = _parts(name, root)
    owner, adversary = split_parties(train, test)
    if queries == "owner":
        adversary = owner
    if scale.train_images is not None:
        owner = owner.subset(scale.train_images)
    return Data(name, owner.to(device), adversary.to(device), test.to(device), scale.query_images)


def _parts(name: str, root: str | Path | None) -> Parts:
    if name == "digits":
        return _digits()
    chosen = root or os.environ.get("MEA_DATA")
    if name not in NAMES:
        folder = Path(name)
        if not folder.is_dir():
            raise ValueError(
                f"unknown data set {name!r}: it is neither one of {', '.join(NAMES)} nor a folder of class folders"
            )
        return class_folders(folder)
    tried: list[str] = []
    for what, source in _sources(name, Path(chosen) if chosen else None):
        try:
            return source()
        except (OSError, RuntimeError, ValueError, EOFError, subprocess.SubprocessError) as error:
            tried.append(f"{what}: {str(error).strip() or type(error).__name__}")
    ways_out = "set MEA_DATA to a folder that holds it (torchvision's files, or class folders of images)"
    if name == "fashion-mnist":
        ways_out += f", or install Debian's package {DEBIAN_PACKAGE}"
    raise DataNotFound(
        f"{name} was not found. Tried:\n  "
        + "\n  ".join(tried)
        + f"\nTo go on, {ways_out}, or connect to the internet."
    )


def _sources(name: str, root: Path | None) -> list[tuple[str, Callable[[], Parts]]]:
    """The sources of a data set in their order, each with the words that name it."""
    found: list[tuple[str, Callable[[], Parts]]] = []
    if root is not None:
        found.append((f"MEA_DATA ({root})", lambda: _from_root(name, root)))
    if name == "fashion-mnist":
        found.append((f"system package ({DEBIAN_FOLDER})", lambda: _fashion_files(DEBIAN_FOLDER)))
    found.append(
        (f"files kept earlier ({cache_folder()})", lambda: _torchvision(name, cache_folder(), False))
    )
    found.append(("download by torchvision", lambda: _download(name)))
    if name == "fashion-mnist":
        found.append((f"Debian package {DEBIAN_PACKAGE}, unpacked without root", _unpack_debian_package))
    return found


def cache_folder() -> Path:
    """Where downloads and decoded images are kept: MEA_CACHE, or the user's cache folder."""
    return Path(os.environ.get("MEA_CACHE") or Path.home() / ".cache" / "mea-defender" / "data")


def _from_root(name: str, root: Path) -> Parts:
    if not root.is_dir():
        raise FileNotFoundError("there is no such folder")
    candidates = [root / name, root / name.replace("-", ""), root]
    for folder in candidates:
        if (folder / "train").is_dir() and any(child.is_dir() for child in (folder / "train").iterdir()):
            return class_folders(folder, name)
    if name == "fashion-mnist":
        for folder in (*candidates, root / "FashionMNIST" / "raw"):
            if list(folder.glob("train-images-idx3-ubyte*")):
                return _fashion_files(folder)
    return _torchvision(name, root, download=False)


def _fashion_files(folder: Path) -> Parts:
    sets = []
    for prefix, number in (("train", 60_000), ("t10k", 10_000)):
        images = _read_idx(folder / f"{prefix}-images-idx3-ubyte", (number, 28, 28))
        labels = _read_idx(folder / f"{prefix}-labels-idx1-ubyte", (number,))
        sets.append(ImageSet(images[:, None], labels.long(), FASHION_CLASSES, "fashion-mnist"))
    return sets[0], sets[1]


def _read_idx(path: Path, shape: tuple[int, ...]) -> Tensor:
    """One file of the MNIST format, plain or with the ending .gz."""
    packed = path.with_name(path.name + ".gz")
    if packed.exists():
        try:
            content = gzip.decompress(packed.read_bytes())
        except (EOFError, OSError) as error:
            raise ValueError(
                f"{packed} is cut off or damaged ({error}); delete it and fetch it again"
            ) from error
    elif path.exists():
        content = path.read_bytes()
    else:
        raise FileNotFoundError(f"no file {path.name} or {packed.name}")
    header = 4 + 4 * len(shape)
    expected = header + int(np.prod(shape))
    if len(content) != expected:
        raise ValueError(
            f"{path} holds {len(content)} bytes instead of {expected}; delete it and fetch it again"
        )
    return torch.frombuffer(bytearray(content[header:]), dtype=torch.uint8).view(shape)


def _torchvision(name: str, root: Path, download: bool) -> Parts:
    """A data set by torchvision, which checks what it downloads."""
    sets = []
    for part in (True, False):
        if name == "fashion-mnist":
            raw = datasets.FashionMNIST(root, train=part, download=download)
            images, labels, classes = raw.data[:, None], raw.targets, FASHION_CLASSES
        elif name == "stl-10":
            raw = datasets.STL10(root, split="train" if part else "test", download=download)
            images, labels, classes = torch.from_numpy(raw.data), torch.from_numpy(raw.labels), raw.classes
        else:
            kind = {"cifar-10": datasets.CIFAR10, "cifar-100": datasets.CIFAR100}[name]
            raw = kind(root, train=part, download=download)
            images = torch.from_numpy(raw.data).permute(0, 3, 1, 2).contiguous()
            labels, classes = torch.tensor(raw.targets), raw.classes
        sets.append(ImageSet(images, labels.long(), tuple(classes), name))
    return sets[0], sets[1]


def _download(name: str) -> Parts:
    """Download into a folder beside the cache, and move it there when it is whole."""
    target = cache_folder()
    target.mkdir(parents=True, exist_ok=True)
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_SECONDS)
    try:
        with tempfile.TemporaryDirectory(dir=target, prefix="partial-") as partial:
            parts = _torchvision(name, Path(partial), download=True)
            for child in Path(partial).iterdir():
                if not (target / child.name).exists():
                    os.replace(child, target / child.name)
            return parts
    finally:
        socket.setdefaulttimeout(before)


def _unpack_debian_package() -> Parts:
    """Fetch Debian's package and unpack it into the cache, which needs no root."""
    target = cache_folder() / DEBIAN_PACKAGE
    if not target.exists():
        if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
            raise FileNotFoundError("apt-get and dpkg-deb are not on this system")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="partial-") as partial:
            run = {"cwd": partial, "check": True, "capture_output": True, "timeout": 120}
            subprocess.run(["apt-get", "download", DEBIAN_PACKAGE], **run)
            package = next(Path(partial).glob("*.deb"))
            subprocess.run(["dpkg-deb", "-x", package.name, "unpacked"], **run)
            _fashion_files(Path(partial) / "unpacked" / DEBIAN_FOLDER.relative_to("/"))
            os.replace(Path(partial) / "unpacked", target)
    return _fashion_files(target / DEBIAN_FOLDER.relative_to("/"))


def _digits() -> Parts:
    """scikit-learn's 1,797 digits of 8×8, enlarged to 16×16."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    small = torch.from_numpy(bunch.images / 16 * 255).round().to(torch.uint8)
    images = small.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, None]
    whole = ImageSet(images, torch.from_numpy(bunch.target).long(), tuple(map(str, range(10))), "digits")
    return _split(whole)


def _split(whole: ImageSet) -> Parts:
    """Four fifths for training and one for the test, drawn at random with a fixed seed."""
    order = torch.randperm(len(whole), generator=torch.Generator().manual_seed(DRAW_SEED))
    test = len(whole) // 5
    return whole.subset(order[test:]), whole.subset(order[:test])


def class_folders(folder: Path, name: str | None = None) -> Parts:
    """Images from class folders, decoded once and kept in the cache.

    Their order is drawn, the same for everybody, so that the first thousand hold every class.

    Args:
        folder: holds train/<class>/* and test/<class>/*, or <class>/*.
        name: of the data set; the folder's by default.

    Raises:
        ValueError: for an empty folder, a class that is in one part only, a file that is no image, or images
            of different sizes; names the folder or file.
    """
    name = name or folder.name
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        train, test = _one_folder(folder / "train", name), _one_folder(folder / "test", name)
        if train.classes != test.classes:
            odd = set(train.classes) ^ set(test.classes)
            raise ValueError(
                f"{folder}: these classes are not in both train and test: {', '.join(sorted(odd))}"
            )
        return train, test
    return _split(_one_folder(folder, name))


def _one_folder(folder: Path, name: str) -> ImageSet:
    classes = sorted(child.name for child in folder.iterdir() if child.is_dir())
    if len(classes) < 3:
        raise ValueError(
            f"{folder} has {len(classes)} class folders; it needs at least 3, each with the images of one class"
        )
    files: list[tuple[Path, int]] = []
    for label, class_name in enumerate(classes):
        own = sorted(p for p in (folder / class_name).iterdir() if p.suffix.lower() in IMAGE_ENDINGS)
        if not own:
            raise ValueError(
                f"{folder / class_name} holds no image; put files ending in {', '.join(IMAGE_ENDINGS)} there"
            )
        files += [(path, label) for path in own]
    listing = "\n".join(f"{path}\t{path.stat().st_size}\t{path.stat().st_mtime_ns}" for path, _ in files)
    kept = cache_folder() / f"folder-{hashlib.sha256(listing.encode()).hexdigest()[:24]}.safetensors"
    if kept.exists():
        images = load_file(kept)["images"]
    else:
        images = _decode([path for path, _ in files])
        kept.parent.mkdir(parents=True, exist_ok=True)
        partial = kept.with_suffix(f".{os.getpid()}.partial")
        save_file({"images": images}, partial)
        os.replace(partial, kept)
    whole = ImageSet(images, torch.tensor([label for _, label in files]), tuple(classes), name)
    return whole.subset(torch.randperm(len(whole), generator=torch.Generator().manual_seed(DRAW_SEED)))


def _decode(paths: list[Path]) -> Tensor:
    """(N, C, H, W) uint8; grey where every image is grey, else RGB."""
    arrays: list[np.ndarray] = []
    first_size = None
    for path in paths:
        try:
            with Image.open(path) as image:
                pixels = np.asarray(image if image.mode == "L" else image.convert("RGB"))
        except (UnidentifiedImageError, OSError) as error:
            raise ValueError(
                f"{path} is not an image that can be read ({error}); repair or remove it"
            ) from error
        first_size = first_size or pixels.shape[:2]
        if pixels.shape[:2] != first_size or first_size[0] != first_size[1]:
            raise ValueError(
                f"{path} has {pixels.shape[1]}×{pixels.shape[0]} pixels; all images must be square and as large as "
                f"the first, {first_size[1]}×{first_size[0]}. Resize them first"
            )
        arrays.append(pixels)
    if any(array.ndim == 3 for array in arrays):
        arrays = [array if array.ndim == 3 else np.repeat(array[..., None], 3, 2) for array in arrays]
        return torch.from_numpy(np.stack(arrays)).permute(0, 3, 1, 2).contiguous()
    return torch.from_numpy(np.stack(arrays))[:, None]
