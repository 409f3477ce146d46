"""The gradient of a loss that only queries tell, by forward differences between images an API takes."""

from collections.abc import Callable

import torch
from torch import Tensor


def estimate_gradient(
    loss: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    directions: int,
    step: float,
    generator: torch.Generator,
) -> Tensor:
    """d/m · Σ_k (L(x + δ_k) − L(x)) / |δ_k| · δ_k / |δ_k|, with directions δ_k drawn evenly from a sphere.

    An API takes whole grey levels, so what was drawn is rounded and cut at 0 and 255, and δ_k is the step that
    was taken in the end. Steps of less than a level still work, since some pixels move by a whole one; an image
    none of whose pixels moved gives no slope, and neither does one whose loss is NaN.

    Args:
        loss: (M, C, H, W) uint8 images → (M,) the loss of each; called once, with m + 1 images for each of N.
        images: (N, C, H, W) uint8.
        directions: m.
        step: root mean square of a pixel's change before it is rounded, in grey levels of 255.
        generator: a CPU generator, for the directions.

    Returns:
        (N, C, H, W) float32: the gradient with respect to pixels in [0, 1].

    Source: Truong et al., Data-Free Model Extraction (CVPR 2021), where images are real numbers and the steps
    much shorter; their released code takes them before the generator's tanh, where the API's levels cannot be
    counted.
    """
    pixels = images.flatten(1).float()  # (N, D)
    number, dimensions = pixels.shape
    drawn = torch.randn(directions, number, dimensions, generator=generator).to(images.device)
    drawn = drawn / drawn.norm(dim=2, keepdim=True) * step * dimensions**0.5  # (m, N, D) in grey levels
    moved = (pixels + drawn).round().clamp(0, 255)
    taken = (moved - pixels) / 255
    queried = torch.cat([pixels[None], moved]).to(torch.uint8)  # (m + 1, N, D)
    here, *there = loss(queried.view(-1, *images.shape[1:])).view(directions + 1, number)
    rises = torch.stack(there) - here  # (m, N)
    squares = taken.square().sum(2)
    known = (squares > 0) & ~rises.isnan()
    slopes = torch.where(known, rises / squares.clamp_min(1e-12), 0.0)
    return dimensions * (slopes[:, :, None] * taken).mean(0).view(images.shape)
