"""A random number that an image decides: every query with the same image gets the same one."""

import hashlib

from torch import Tensor


def image_number(image: Tensor, seed: int) -> int:
    """A number from 0 to 2⁶⁴ − 1, as good as random, that only this image and the seed decide.

    Args:
        image: (C, H, W) uint8.
        seed: without it nobody can tell the number.
    """
    content = image.cpu().contiguous().numpy().tobytes()
    digest = hashlib.sha256(f"{seed}\n".encode() + content).digest()
    return int.from_bytes(digest[:8], "big")
