"""Images brought to other channels and another size: the one way in which this package does it."""

from torch import Tensor

PART = 5_000  # images turned into floats at once


def to_form(images: Tensor, channels: int, size: int) -> Tensor:
    """The same pictures in another shape.

    Colours become grey by the weights of ITU-R BT.601 (0.299 red, 0.587 green, 0.114 blue), grey becomes
    three equal channels, and the size changes by bilinear interpolation, antialiased where it shrinks. What
    is not square is squeezed, so that nothing of it is cut off. Pixels are rounded once, at the end.

    Args:
        images: (N, C, H, W) uint8 with 1 or 3 channels, of any height and width.
        channels: wanted, 1 or 3.
        size: wanted height and width in pixels.

    Returns:
        (N, channels, size, size) uint8, on the same device; `images` itself where it has that shape already.

    Raises:
        ValueError: for another number of channels, or a size below 1.
    """
    if channels not in (1, 3):
        raise ValueError(f"images have 1 or 3 channels, not {channels}; take what the victim's images have")
    if size < 1:
        raise ValueError(f"a size is a number of pixels, at least 1, not {size}")
    shape = (channels, size, size)
    if images.shape[1:] == shape:
        return images
    from torchvision.transforms.v2 import functional as transforms  # here, since it takes two seconds

    formed = images.new_empty(len(images), *shape)
    for source, target in zip(images.split(PART), formed.split(PART), strict=True):
        pixels = source.float()
        if channels == 1:
            pixels = transforms.rgb_to_grayscale(pixels)
        resized = transforms.resize(pixels, [size, size], antialias=True)
        target.copy_(resized.round().clamp(0, 255))  # one channel is spread over three
    return formed
