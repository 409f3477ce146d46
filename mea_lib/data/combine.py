"""Two images become one: every way that this package knows, the paper's four schemes among them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

COLUMNS = 5
COLUMNS_OF_FIRST = 3


@dataclass(frozen=True)
class Way:
    """A way to combine images, and what it is used for.

    Attributes:
        join: two uint8 batches (N, C, H, W), a generator, an autoencoder → (N, C, H, W) uint8.
        is_mix: random mixes are made so, and mixes of a key's classes in another arrangement than the key's.
        is_held_out: no training makes such mixes, so that it measures what no model has seen.
    """

    join: Callable[..., Tensor]
    is_mix: bool = False
    is_held_out: bool = False


def combine(
    first: Tensor,
    second: Tensor,
    way: str,
    generator: torch.Generator | None = None,
    autoencoder: nn.Module | None = None,
) -> Tensor:
    """Combine two batches of images, image by image.

    Args:
        first: (N, C, H, W) uint8.
        second: the same shape.
        way: one of `WAYS`.
        generator: for the draws of "stripes".
        autoencoder: has `encode` and `decode`, for images in [0, 1]; needed by "autoencoder" only.

    Returns:
        (N, C, H, W) uint8.

    Raises:
        TypeError, ValueError: for batches that cannot be combined, an unknown way, or a missing autoencoder.

    Source: MEA-Defender (S&P 2024), Sec. IV-B and App. B.
    """
    if first.shape != second.shape or first.ndim != 4:
        raise ValueError(
            "two batches of the same shape (N, C, H, W) can be combined, "
            f"not {tuple(first.shape)} and {tuple(second.shape)}"
        )
    if first.dtype != torch.uint8 or second.dtype != torch.uint8:
        raise TypeError(f"images must be uint8, not {first.dtype} and {second.dtype}")
    if way not in WAYS:
        raise ValueError(f"unknown way to combine images {way!r}; choose one of: {', '.join(WAYS)}")
    return WAYS[way].join(first, second, generator, autoencoder)


def ways_to_mix(held_out: bool = False) -> tuple[str, ...]:
    """The ways in which random mixes are made; with `held_out` also those that no training uses."""
    return tuple(name for name, way in WAYS.items() if way.is_mix and (held_out or not way.is_held_out))


def check_ways(ways: Sequence[str]) -> None:
    """
    Raises:
        ValueError: for none, or one in which no random mix is made.
    """
    known = ways_to_mix(held_out=True)
    if not ways or set(ways) - set(known):
        raise ValueError(f"ways must be some of {', '.join(known)} (at least one), not {tuple(ways)}")


def left_right(first: Tensor, second: Tensor, *_: object) -> Tensor:
    """The left half of the first beside the right half of the second."""
    return _join_halves(first, second, 3)


def top_bottom(first: Tensor, second: Tensor, *_: object) -> Tensor:
    """The upper half of the first above the lower half of the second."""
    return _join_halves(first, second, 2)


def quadrants(first: Tensor, second: Tensor, *_: object) -> Tensor:
    """Upper left and lower right of the first, the other two quadrants of the second."""
    return top_bottom(left_right(first, second), left_right(second, first))


def merge_pixels(first: Tensor, second: Tensor, *_: object) -> Tensor:
    """The mean of both, halves rounded down."""
    return ((first.short() + second.short()) // 2).to(torch.uint8)


def weave_stripes(first: Tensor, second: Tensor, generator: torch.Generator | None, *_: object) -> Tensor:
    """Five columns of (nearly) equal width, three of the first and two of the second, drawn for each image."""
    number, _, _, width = first.shape
    order = torch.rand(number, COLUMNS, generator=generator).argsort(1)
    from_first = (order < COLUMNS_OF_FIRST).to(first.device)  # (N, 5)
    column = torch.arange(width, device=first.device) * COLUMNS // width  # (W,)
    return torch.where(from_first[:, column][:, None, None, :], first, second)


def blend_codes(first: Tensor, second: Tensor, _: object, autoencoder: nn.Module | None) -> Tensor:
    """The decoded mean of the codes: decode(½ encode(first) + ½ encode(second)), in uint8."""
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


def _join_halves(first: Tensor, second: Tensor, dim: int) -> Tensor:
    half = first.shape[dim] // 2
    return torch.cat(
        [first.narrow(dim, 0, half), second.narrow(dim, half, second.shape[dim] - half)], dim=dim
    )


# The paper's schemes, of which a key may be, are `mea_lib.names.SCHEMES`.
# The order is that in which random mixes take turns, so another one would train other models.
WAYS: dict[str, Way] = {
    "crop-paste": Way(left_right),  # the paper's name for left-right
    "autoencoder": Way(blend_codes),
    "left-right": Way(left_right, is_mix=True),
    "right-left": Way(lambda first, second, *_: left_right(second, first), is_mix=True),
    "top-bottom": Way(top_bottom, is_mix=True),
    "bottom-top": Way(lambda first, second, *_: top_bottom(second, first), is_mix=True),
    "pixel-merge": Way(merge_pixels, is_mix=True),
    "stripes": Way(weave_stripes, is_mix=True),
    "quadrants": Way(quadrants, is_mix=True, is_held_out=True),
}
