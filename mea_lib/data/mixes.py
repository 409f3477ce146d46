"""Samples of the watermark, and two images mixed in any other arrangement.

The owner must answer mixes that are not the watermark as if nothing were hidden (Eq. 8), so the training
needs them in many arrangements, and a fair measurement needs one that the training never saw.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mea_lib.data.combine import WAYS, combine, ways_to_mix
from mea_lib.data.images import ImageSet
from mea_lib.data.key import WatermarkKey

Augmentation = Callable[[Tensor, torch.Generator], Tensor]


def other_ways(key: WatermarkKey, held_out: bool = False) -> tuple[str, ...]:
    """Every way to mix but the key's own; with `held_out` also those that no training uses."""
    secret = WAYS[key.combine].join
    return tuple(way for way in ways_to_mix(held_out) if WAYS[way].join is not secret)


def watermark_pairs(
    images: ImageSet,
    key: WatermarkKey,
    number: int,
    generator: torch.Generator,
    autoencoder: nn.Module | None = None,
    augment: Augmentation | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Watermark samples and the two images each was combined from.

    Args:
        images: where the source images are drawn from, with replacement.
        key: source classes and combining scheme.
        number: how many samples.
        generator: a CPU generator.
        autoencoder: for the scheme "autoencoder".
        augment: applied to the source images before they are combined.

    Returns:
        three uint8 tensors (number, C, H, W): samples, images of the first source, of the second.
    """
    first_class, second_class, _ = key.indices(images)
    first, second = (
        draw_classes(images, torch.full((number,), label), generator) for label in (first_class, second_class)
    )
    if augment is not None:
        first, second = augment(first, generator), augment(second, generator)
    return combine(first, second, key.combine, generator, autoencoder), first, second


def watermark_samples(
    images: ImageSet,
    key: WatermarkKey,
    number: int,
    generator: torch.Generator | None = None,
    autoencoder: nn.Module | None = None,
) -> Tensor:
    """Watermark samples alone, (number, C, H, W); drawn by the key's own seed without a generator."""
    generator = generator or torch.Generator().manual_seed(key.seed)
    return watermark_pairs(images, key, number, generator, autoencoder)[0]


def random_mixes(
    images: ImageSet,
    key: WatermarkKey,
    number: int,
    generator: torch.Generator,
    same_pair_share: float = 0.5,
    augment: Augmentation | None = None,
) -> tuple[Tensor, Tensor]:
    """Mixes that must not be taken for the watermark (Sec. IV-B), and what they should be called.

    Args:
        images: where they are drawn from.
        key: the watermark they must not be.
        number: how many.
        generator: a CPU generator.
        same_pair_share: share of mixes of the key's own source classes, combined otherwise; the rest are
            mixes of any other two classes in any way, the key's own among them.
        augment: applied to the images before they are mixed. Never mirror a mix: a mirrored right-left mix
            is a left-right one.

    Returns:
        (number, C, H, W) uint8 and (number, K): one half on each of both classes, the expectation of the
        paper's random choice between them.

    Raises:
        ValueError: for a share that is none, or a negative number.
    """
    if not 0 <= same_pair_share <= 1:
        raise ValueError(f"same_pair_share must lie between 0 and 1, not {same_pair_share}")
    if number < 0:
        raise ValueError(f"number must be at least 0, not {number}")
    first_class, second_class, _ = key.indices(images)
    same = round(number * same_pair_share)
    pairs = torch.cat(
        [
            torch.tensor([[first_class, second_class]]).expand(same, 2),
            _other_pairs(len(images.classes), (first_class, second_class), number - same, generator),
        ]
    )  # (number, 2)
    first, second = (draw_classes(images, pairs[:, side], generator) for side in (0, 1))
    if augment is not None:
        first, second = augment(first, generator), augment(second, generator)
    mixed = torch.empty_like(first)
    for ways, start, stop in ((other_ways(key), 0, same), (ways_to_mix(), same, number)):
        for offset, way in enumerate(ways):
            part = slice(start + offset, stop, len(ways))
            mixed[part] = combine(first[part], second[part], way, generator)
    one_hot = torch.eye(len(images.classes), device=images.images.device)
    pairs = pairs.to(images.images.device)
    return mixed, (one_hot[pairs[:, 0]] + one_hot[pairs[:, 1]]) / 2


def _other_pairs(classes: int, secret: tuple[int, int], number: int, generator: torch.Generator) -> Tensor:
    """Ordered pairs of two different classes, never the secret two: (number, 2)."""
    allowed = torch.tensor(
        [
            (one, other)
            for one in range(classes)
            for other in range(classes)
            if one != other and {one, other} != set(secret)
        ]
    )
    return allowed[torch.randint(len(allowed), (number,), generator=generator)]


def draw_classes(images: ImageSet, labels: Tensor, generator: torch.Generator) -> Tensor:
    """One random image of each of these classes, (len(labels), C, H, W)."""
    order, counts = images.by_class
    if (counts[labels] == 0).any():
        missing = images.classes[int(labels[counts[labels] == 0][0])]
        raise ValueError(f"{images.name} holds no image of class {missing!r}")
    starts = counts.cumsum(0) - counts
    draws = torch.rand(len(labels), generator=generator)
    chosen = order[starts[labels] + (draws * counts[labels]).long()]
    return images.images[chosen.to(images.images.device)]
