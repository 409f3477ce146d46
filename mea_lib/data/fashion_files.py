"""Fashion-MNIST's four files, known by their contents: MNIST's have the same names and lengths."""

import gzip
import hashlib
import io
import zlib
from pathlib import Path

import torch
from torch import Tensor

from mea_lib.data.class_order import FASHION
from mea_lib.data.images import ImageSet
from mea_lib.files import read_file

# SHA-256 of each file's contents, unpacked.
SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}
LARGEST_FILE = 64 * 2**20  # bytes, unpacked or not; the training images have 47 million
_HEADERS = {"images-idx3": 16, "labels-idx1": 8}  # bytes before the first pixel or label


def fashion_files(folder: Path) -> tuple[ImageSet, ImageSet]:
    """Training and test images from the four files, each plain or with the ending .gz.

    Raises:
        FileNotFoundError: where one is missing. ValueError: for a damaged one, or another data set's; names
            the file.
    """
    sets = []
    for prefix in ("train", "t10k"):
        images = _contents(folder, f"{prefix}-images-idx3-ubyte").view(-1, 1, 28, 28)
        labels = _contents(folder, f"{prefix}-labels-idx1-ubyte")
        sets.append(ImageSet(images, labels.long(), FASHION, "fashion-mnist"))
    return sets[0], sets[1]


def _contents(folder: Path, name: str) -> Tensor:
    path = folder / name
    packed = folder / f"{name}.gz"
    if packed.exists():
        path = packed
    elif not path.exists():
        raise FileNotFoundError(f"no file {path} or {packed.name}")
    content = read_file(path, LARGEST_FILE)
    if path == packed:
        try:
            with gzip.open(io.BytesIO(content)) as file:
                content = file.read(LARGEST_FILE)
        except (EOFError, OSError, zlib.error) as error:
            raise ValueError(
                f"{path} is cut off or damaged ({error}); delete it and fetch it again"
            ) from error
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise ValueError(
            f"{path} is not Fashion-MNIST's: its checksum is another. MNIST's files have the same names; "
            "delete it and fetch Fashion-MNIST again"
        )
    header = next(length for kind, length in _HEADERS.items() if kind in name)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8)[header:]
