"""Augmentation of a whole batch at once, on the device the images are on."""

import torch
from torch import Tensor
from torch.nn import functional as F


def mirror(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image left to right with probability one half: (N, C, H, W) of any dtype."""
    flips = torch.rand(len(images), generator=generator).lt(0.5).to(images.device)
    return torch.where(flips[:, None, None, None], images.flip(3), images)


def shift(images: Tensor, generator: torch.Generator, pixels: int | None = None) -> Tensor:
    """Shift each image by up to `pixels` in both directions, with black coming in at the edges.

    Args:
        images: (N, C, H, W) of any dtype.
        generator: a CPU generator, so that the draws are the same on every device.
        pixels: the largest shift; by default a fourteenth of the width (2 of 28).
    """
    number, _channels, height, width = images.shape
    pixels = max(1, round(width / 14)) if pixels is None else pixels
    padded = F.pad(images, (pixels,) * 4)
    offsets = torch.randint(0, 2 * pixels + 1, (2, number, 1), generator=generator).to(images.device)
    rows = offsets[0] + torch.arange(height, device=images.device)  # (N, H)
    columns = offsets[1] + torch.arange(width, device=images.device)  # (N, W)
    which = torch.arange(number, device=images.device)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[which, rows[:, :, None], columns[:, None, :]]  # (N, H, W, C)
    return moved.permute(0, 3, 1, 2)


def augment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror and shift, drawn for each image."""
    return shift(mirror(images, generator), generator)
