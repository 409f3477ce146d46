"""Two images become one: the paper's four combining schemes."""

import torch
from torch import Tensor, nn

from mea_lib.names import SCHEMES

COLUMNS = 5
COLUMNS_OF_FIRST = 3


def combine(
    first: Tensor,
    second: Tensor,
    scheme: str,
    generator: torch.Generator | None = None,
    autoencoder: nn.Module | None = None,
) -> Tensor:
    """Combine two batches of images, image by image.

    Args:
        first: (N, C, H, W) uint8.
        second: the same shape.
        scheme: "crop-paste" (left half of the first, right half of the second), "pixel-merge" (their mean),
            "stripes" (five columns, three of the first and two of the second, drawn for each image),
            "autoencoder" (the decoded mean of their codes).
        generator: for the draws of "stripes".
        autoencoder: has `encode` and `decode`, for images in [0, 1]; needed by "autoencoder" only.

    Returns:
        (N, C, H, W) uint8.

    Source: MEA-Defender (S&P 2024), Sec. IV-B and App. B.
    """
    if first.shape != second.shape or first.ndim != 4:
        raise ValueError(
            "two batches of the same shape (N, C, H, W) can be combined, "
            f"not {tuple(first.shape)} and {tuple(second.shape)}"
        )
    if first.dtype != torch.uint8 or second.dtype != torch.uint8:
        raise TypeError(f"images must be uint8, not {first.dtype} and {second.dtype}")
    if scheme == "crop-paste":
        return join_halves(first, second, dim=3)
    if scheme == "pixel-merge":
        return merge_pixels(first, second)
    if scheme == "stripes":
        return weave_stripes(first, second, generator)
    if scheme == "autoencoder":
        return blend_codes(first, second, autoencoder)
    raise ValueError(f"unknown combining scheme {scheme!r}; choose one of: {', '.join(SCHEMES)}")


def join_halves(first: Tensor, second: Tensor, dim: int) -> Tensor:
    """The first half of `first` along `dim`, then the second half of `second`."""
    half = first.shape[dim] // 2
    return torch.cat(
        [first.narrow(dim, 0, half), second.narrow(dim, half, second.shape[dim] - half)], dim=dim
    )


def merge_pixels(first: Tensor, second: Tensor) -> Tensor:
    """The mean of both, halves rounded down."""
    return ((first.short() + second.short()) // 2).to(torch.uint8)


def weave_stripes(first: Tensor, second: Tensor, generator: torch.Generator | None) -> Tensor:
    """Five columns of (nearly) equal width, three of `first` and two of `second`."""
    number, _, _, width = first.shape
    order = torch.rand(number, COLUMNS, generator=generator).argsort(1)
    from_first = (order < COLUMNS_OF_FIRST).to(first.device)  # (N, 5)
    column = torch.arange(width, device=first.device) * COLUMNS // width  # (W,)
    return torch.where(from_first[:, column][:, None, None, :], first, second)


def blend_codes(first: Tensor, second: Tensor, autoencoder: nn.Module | None) -> Tensor:
    """decode(½ encode(first) + ½ encode(second)), in uint8."""
    if autoencoder is None:
        raise ValueError(
            "the scheme 'autoencoder' needs a trained autoencoder; "
            "get one from mea_lib.training.autoencoder.train_autoencoder"
        )
    device = next(autoencoder.parameters()).device
    with torch.no_grad():
        codes = [autoencoder.encode(images.to(device).float() / 255) for images in (first, second)]
        blended = autoencoder.decode((codes[0] + codes[1]) / 2).to(first.device)
    return blended.mul(255).round().clamp(0, 255).to(torch.uint8)
