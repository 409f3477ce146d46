"""Images of another domain, brought to the shape a victim takes: what a thief asks who has none of the victim's domain."""

from dataclasses import replace

from torchvision.transforms.v2 import functional as transforms

from mea_lib.data import ImageSet

PART = 5_000  # images turned into floats at once


def adapt(images: ImageSet, channels: int, size: int) -> ImageSet:
    """The same images, classes and labels in another shape.

    Colours become grey by the weights of ITU-R BT.601 (0.299 red, 0.587 green, 0.114 blue), grey becomes three
    equal channels, and the size changes by bilinear interpolation, antialiased where it shrinks. Pixels are
    rounded once, at the end.

    Args:
        images: (N, C, H, W) uint8, of any height and width; what is not square is squeezed.
        channels: of the victim's images, 1 or 3.
        size: their height and width in pixels.

    Returns:
        (N, channels, size, size) uint8, on the same device; the set itself where it has that shape already.

    Raises:
        ValueError: for another number of channels, or a size below 1.

    Source: Orekondy, Schiele and Fritz, Knockoff Nets (CVPR 2019), whose thieves ask about images that have
    nothing to do with the victim's task.
    """
    if channels not in (1, 3):
        raise ValueError(f"images have 1 or 3 channels, not {channels}; take what the victim's images have")
    if size < 1:
        raise ValueError(f"a size is a number of pixels, at least 1, not {size}")
    shape = (channels, size, size)
    if images.images.shape[1:] == shape:
        return images
    adapted = images.images.new_empty(len(images), *shape)
    for source, target in zip(images.images.split(PART), adapted.split(PART), strict=True):
        pixels = source.float()
        if channels == 1:
            pixels = transforms.rgb_to_grayscale(pixels)
        resized = transforms.resize(pixels, [size, size], antialias=True)
        target.copy_(resized.round().clamp(0, 255))  # one channel is spread over three
    return replace(images, images=adapted)
