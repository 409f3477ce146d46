"""Images of another domain in the victim's shape: the queries of an adversary who has none of its domain."""

from dataclasses import replace

from mea_lib.data import ImageSet
from mea_lib.data.resize import to_form


def adapt(images: ImageSet, channels: int, size: int) -> ImageSet:
    """The same images, classes and labels in another shape, by the rule of `data.resize.to_form`.

    Args:
        images: (N, C, H, W) uint8, of any height and width; what is not square is squeezed.
        channels: of the victim's images, 1 or 3.
        size: their height and width in pixels.

    Returns:
        (N, channels, size, size) uint8, on the same device; the set itself where it has that shape already.

    Raises:
        ValueError: for another number of channels, or a size below 1.

    Source: Orekondy, Schiele and Fritz, Knockoff Nets (CVPR 2019), whose adversaries query images that have
    nothing to do with the victim's task.
    """
    formed = to_form(images.images, channels, size)
    return images if formed is images.images else replace(images, images=formed)
