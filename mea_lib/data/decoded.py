"""Files decoded into one tensor for each part, and kept, since nothing else here takes as long.

What is kept is found by the contents of all files, their names and the code that decodes: a file replaced by
another of the same size and time is another file.
"""

import hashlib
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

import PIL
import torch
from filelock import FileLock
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from tqdm import tqdm

from mea_lib.data import decode as decoding
from mea_lib.data import resize as resizing
from mea_lib.data.cache import cache_folder
from mea_lib.data.decode import decode
from mea_lib.data.reading import Tally
from mea_lib.data.resize import to_form
from mea_lib.files import check_file, read_file, replacing

IN_COLOUR, SPREAD = "in colour, so that all become RGB", "grey spread over three channels"
LARGEST_FILE = (
    512 * 2**20
)  # bytes of an image; the most pixels that are decoded have fewer, at 16 bits a channel
SLOW_SECONDS = 2  # until a terminal is shown a bar

_log = logging.getLogger("mea_lib.data")


@dataclass(frozen=True)
class Decoded:
    """Images of each part, (N, C, H, W) uint8, and what was done to them."""

    images: list[Tensor]
    done: tuple[Tally, ...]


def decode_files(
    root: Path, parts: list[list[Path]], *, size: int | None, channels: int | None = None
) -> Decoded:
    """Decode the files of all parts by one rule, or take what was kept of them.

    Args:
        root: folder to which the names in the tallies are relative.
        parts: files of each part.
        size: to which images are brought; None where they all have one square size already.
        channels: to which they are brought; None for grey where all images of all parts are, else RGB.

    Raises:
        ValueError: for a file that cannot be read or is refused, or sizes that differ; names the file.
    """
    key = _key(root, parts, size, channels)
    cache = cache_folder()
    kept = cache / f"folder-{key[:32]}.safetensors"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        lock = FileLock(kept.with_suffix(".lock"))
        lock.acquire()
    except OSError as error:
        _log.warning(
            "decoded images cannot be kept in %s (%s); set MEA_CACHE to a folder of yours", cache, error
        )
        return _load(kept, parts) or _decode_all(root, parts, size, channels)
    try:
        decoded = _load(kept, parts)
        if decoded is None:
            decoded = _decode_all(root, parts, size, channels)
            _save(decoded, kept)
        return decoded
    finally:
        lock.release()


def _key(root: Path, parts: list[list[Path]], size: int | None, channels: int | None) -> str:
    digest = hashlib.sha256(f"{PIL.__version__} {size} {channels}".encode())
    for module in (decoding, resizing):
        digest.update(Path(module.__file__).read_bytes())
    for files in parts:
        digest.update(f"part of {len(files)}\n".encode())
        for path in files:
            contents = hashlib.sha256(_contents(path)).hexdigest()
            digest.update(f"{path.relative_to(root)}\t{contents}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _contents(path: Path) -> bytes:
    try:
        return read_file(path, LARGEST_FILE)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); allow it, or remove the file") from error


def _decode_all(root: Path, parts: list[list[Path]], size: int | None, channels: int | None) -> Decoded:
    done: dict[str, Tally] = {}
    pictures: list[list[Tensor]] = []
    first: tuple[Path, Tensor] | None = None
    total = sum(map(len, parts))
    with tqdm(total=total, desc=f"decoding {root}", unit="image", disable=None, delay=SLOW_SECONDS) as bar:
        for files in parts:
            pictures.append([])
            for path in files:
                picture = _decode_one(path, root, done)
                first = first or (path, picture)
                if size is None:
                    _check_size(path, picture, *first)
                elif tuple(picture.shape[1:]) != (size, size):
                    name = f"{path.relative_to(root)} from {_sides(picture)}"
                    Tally.count(done, f"brought to {size}×{size} pixels", name)
                form = (channels or len(picture), size or picture.shape[2])
                pictures[-1].append(to_form(picture[None], *form)[0])
                bar.update()
    _spread_grey(root, parts, pictures, done)
    return Decoded([torch.stack(part) for part in pictures], tuple(done.values()))


def _spread_grey(
    root: Path, parts: list[list[Path]], pictures: list[list[Tensor]], done: dict[str, Tally]
) -> None:
    """Give all images three channels where one has them."""
    channels = {len(picture) for part in pictures for picture in part}
    if len(channels) == 1:
        return
    for files, part in zip(parts, pictures, strict=True):
        for place, (path, picture) in enumerate(zip(files, part, strict=True)):
            what = SPREAD if len(picture) == 1 else IN_COLOUR
            Tally.count(done, what, str(path.relative_to(root)))
            part[place] = picture.expand(3, -1, -1)


def _decode_one(path: Path, root: Path, done: dict[str, Tally]) -> Tensor:
    """(C, H, W) uint8."""
    try:
        pixels, changes = decode(_contents(path))
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{path} {error}") from error
    for change in changes:
        Tally.count(done, change, str(path.relative_to(root)))
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _check_size(path: Path, picture: Tensor, first_path: Path, first: Tensor) -> None:
    way_out = "give a size, as in mea.load(folder, size=32), to bring all to it"
    if picture.shape[1] != picture.shape[2] and path == first_path:
        raise ValueError(f"{path} has {_sides(picture)} pixels and images must be square; {way_out}")
    if picture.shape[1:] != first.shape[1:]:
        raise ValueError(
            f"{path} has {_sides(picture)} pixels and {first_path} {_sides(first)}; all images of all "
            f"parts must be square and of one size; {way_out}"
        )


def _sides(picture: Tensor) -> str:
    return f"{picture.shape[2]}×{picture.shape[1]}"


def _save(decoded: Decoded, kept: Path) -> None:
    """Keep them; a cache that takes nothing is no error."""
    tensors = {str(number): images.contiguous() for number, images in enumerate(decoded.images)}
    about = {"digest": _digest(tensors), "done": json.dumps([asdict(tally) for tally in decoded.done])}
    try:
        with replacing(kept) as partial:
            save_file(tensors, partial, metadata=about)
    except (OSError, SafetensorError) as error:
        _log.warning("decoded images could not be kept in %s (%s)", kept, error)


def _load(kept: Path, parts: list[list[Path]]) -> Decoded | None:
    """What was kept of these parts; None where there is nothing, or nothing whole."""
    if not kept.exists():
        return None
    try:
        check_file(kept)
        with safe_open(kept, "pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if about.get("digest") != _digest(tensors):
            raise ValueError("its contents are not what was written")
        done = tuple(Tally(**tally) for tally in json.loads(about["done"]))
        images = [tensors[str(number)] for number in range(len(parts))]
        if [len(one) for one in images] != [len(files) for files in parts]:
            raise ValueError("it holds another number of images")
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, RecursionError) as error:
        _log.warning("%s is damaged (%s) and is made again", kept, error)
        return None
    return Decoded(images, done)


def _digest(tensors: dict[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors, key=int):
        digest.update(repr((name, tuple(tensors[name].shape))).encode())
        digest.update(tensors[name].contiguous().numpy().data)
    return digest.hexdigest()
