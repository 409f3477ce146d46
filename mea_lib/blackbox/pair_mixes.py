"""What a suspect calls mixes of two classes, and whether it agrees on a third class."""

from collections.abc import Sequence

import torch
from torch import Tensor

from mea_lib.blackbox.named_class import NO_CLASS, Suspect, most_probable
from mea_lib.data import ImageSet, combine
from mea_lib.data.mixes import draw_classes


def labels_of_pairs(
    suspect: Suspect,
    images: ImageSet,
    pairs: Sequence[tuple[int, int]],
    samples: int,
    way: str,
    generator: torch.Generator,
) -> Sequence[Tensor]:
    """The suspect's labels on mixes of each pair of classes, all in one call.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, K) answers.
        images: where the images that are mixed are drawn from.
        pairs: numbers of the first and the second class.
        samples: mixes of each pair.
        way: one of `mea_lib.data.WAYS`.
        generator: a CPU generator.

    Returns:
        for each pair its labels, (samples,) on the CPU; NO_CLASS where an answer names none.

    Raises:
        ValueError: for fewer than one mix of each pair.
    """
    if samples < 1:
        raise ValueError(f"samples must be at least 1 of each pair, not {samples}")
    if not pairs:
        return ()
    both = torch.tensor(pairs).repeat_interleave(samples, 0)  # (pairs × samples, 2)
    first, second = (draw_classes(images, both[:, side], generator) for side in (0, 1))
    return most_probable(suspect(combine(first, second, way, generator))).cpu().split(samples)


def third_class(labels: Tensor, pair: tuple[int, int], classes: int) -> tuple[int, float]:
    """The class outside the pair that most of these labels (N,) name, and its share of all N.

    NO_CLASS and 0 where none of them names a third class.
    """
    counts = torch.bincount(labels[labels != NO_CLASS], minlength=classes)
    counts[list(pair)] = 0
    most = int(counts.max())
    return (int(counts.argmax()) if most else NO_CLASS), most / len(labels)
