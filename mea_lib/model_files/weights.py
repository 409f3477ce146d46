"""A file of weights (safetensors), held against what is expected before it is read whole."""

import hashlib
import json
import os
from pathlib import Path
from typing import BinaryIO

from mea_lib.files import reading

Shapes = dict[str, tuple[int, ...]]
MOST_HEADER_BYTES = 1_000_000  # a hundred for each tensor


def read_weights(path: Path, sha256: str, shapes: Shapes | None = None) -> bytes:
    """A file of weights whose SHA-256 is this one, in hexadecimal.

    Args:
        path: of the .safetensors file.
        sha256: as the card says.
        shapes: of the tensors that the card's network has, by name. With them a file that holds others is refused by
            its header, without memory for its content.

    Raises:
        ValueError: for another content.
        OSError, MemoryError: as they come, with the file's name.
    """
    with reading(path) as opened:
        stored = _header(opened, path)
        if shapes is not None and stored != shapes:
            raise ValueError(
                f"{path} and the network of its card do not make a model: {_difference(stored, shapes)}"
            )
        opened.seek(0)
        content = opened.read()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise _other(path, "its hash is another")
    return content


def _header(opened: BinaryIO, path: Path) -> Shapes:
    """Shapes of the tensors, whose sizes fill the file exactly."""
    size = os.fstat(opened.fileno()).st_size
    length = int.from_bytes(opened.read(8), "little")
    if length > min(size - 8, MOST_HEADER_BYTES):
        raise _other(path, "its header is longer than it may be")
    try:
        header = json.loads(opened.read(length))
        header.pop("__metadata__", None)
        shapes = {name: tuple(int(side) for side in tensor["shape"]) for name, tensor in header.items()}
        end = max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise _other(path, f"its header cannot be read ({error})") from error
    if 8 + length + end != size:
        raise _other(path, f"its header speaks of {8 + length + end:,} bytes, and it has {size:,}")
    return shapes


def _other(path: Path, why: str) -> ValueError:
    return ValueError(
        f"{path} does not hold the weights that {path.with_suffix('.json').name} describes ({why}); "
        "copy the model again, or remove it and let it be trained again"
    )


def _difference(stored: Shapes, expected: Shapes) -> str:
    name = min(name for name in stored.keys() | expected.keys() if stored.get(name) != expected.get(name))
    there, wanted = (str(shapes.get(name, "nothing")) for shapes in (stored, expected))
    return f"{name[:80]!r} is {there[:80]} there, and {wanted[:80]} in the network"
