"""A trigger on images: a mask says how much of each pixel it covers, a pattern what it shows there."""

import torch
from torch import Tensor


def stamp(images: Tensor, mask: Tensor, pattern: Tensor) -> Tensor:
    """(1 − m)·x + m·p, rounded to whole pixel values.

    Args:
        images: (N, C, H, W) uint8.
        mask: (1, H, W) in [0, 1].
        pattern: (C, H, W) in [0, 1].

    Returns:
        (N, C, H, W) uint8.
    """
    pixels = images.float() / 255
    return ((1 - mask) * pixels + mask * pattern).mul(255).round().clamp(0, 255).to(torch.uint8)
