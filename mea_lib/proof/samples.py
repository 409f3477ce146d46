"""Distinct samples: a mix that is drawn twice is one mix, and one source image in many mixes is one image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isqrt, lcm

import torch
from torch import Tensor, nn

from mea_lib.data import ImageSet, WatermarkKey, combine, other_ways

Join = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Mixes:
    """N different images, each of one image of a first class and one of a second.

    Attributes:
        images: (N, C, H, W) uint8, no two alike.
        first, second: (N,) which source image each was made of, counted within its class.
    """

    images: Tensor
    first: Tensor
    second: Tensor

    def __len__(self) -> int:
        return len(self.images)

    @property
    def sources(self) -> int:
        """Different images of the class that gave fewer: so many mixes at least are independent."""
        return min(len(self.first.unique()), len(self.second.unique())) if len(self) else 0


def distinct_samples(
    test: ImageSet, key: WatermarkKey, number: int, autoencoder: nn.Module | None = None
) -> Mixes:
    """At most `number` watermark samples, no two alike, drawn by the key's own seed; fewer where there are no more."""
    generator = torch.Generator().manual_seed(key.seed)
    one, other = (class_images(test, label) for label in key.indices(test)[:2])
    return distinct_mixes(one, other, number, generator, _join(key.combine, generator, autoencoder))


def distinct_other_ways(test: ImageSet, key: WatermarkKey, number: int) -> dict[str, Mixes]:
    """The same of mixes of the key's two classes in every other arrangement, by its name."""
    generator = torch.Generator().manual_seed(key.seed + 1)
    one, other = (class_images(test, label) for label in key.indices(test)[:2])
    return {
        way: distinct_mixes(one, other, number, generator, _join(way, generator))
        for way in other_ways(key, held_out=True)
    }


def pair_samples(
    test: ImageSet,
    key: WatermarkKey,
    pairs: Sequence[tuple[int, int]],
    number: int,
    autoencoder: nn.Module | None = None,
) -> list[Mixes]:
    """For every pair of classes at most `number` different mixes in the key's way, drawn by its seed."""
    generator = torch.Generator().manual_seed(key.seed + 4)
    join = _join(key.combine, generator, autoencoder)
    images = {label: class_images(test, label) for label in sorted({*sum(pairs, ())})}
    return [distinct_mixes(images[one], images[other], number, generator, join) for one, other in pairs]


def distinct_mixes(one: Tensor, other: Tensor, number: int, generator: torch.Generator, join: Join) -> Mixes:
    """At most `number` different mixes, each source image in as few of them as can be.

    Args:
        one, other: (M, C, H, W) different images of the first and the second class.
        number: of mixes.
        generator: draws the order of the images.
        join: (B, C, H, W) of both classes → (B, C, H, W).
    """
    order, other_order = (torch.randperm(len(part), generator=generator) for part in (one, other))
    turn, every = lcm(len(one), len(other)), len(one) * len(other)
    parts, seen, start = [], set(), 0
    while len(seen) < number and start < every:
        place = torch.arange(start, min(start + number - len(seen), every))
        start += len(place)
        first = order[place % len(one)]
        second = other_order[(place + place // turn) % len(other)]  # so every pair comes once
        mixed = join(one[first.to(one.device)], other[second.to(other.device)])
        new = _new(mixed, seen)
        parts.append((mixed[new], first[new], second[new]))
    images, first, second = (torch.cat(part) for part in zip(*parts, strict=True))
    return Mixes(images, first, second)


def class_images(test: ImageSet, label: int) -> Tensor:
    """The different images of one class, (M, C, H, W).

    Raises:
        ValueError: for a class without an image.
    """
    images = test.of_class(label)
    if not len(images):
        raise ValueError(f"{test.name} holds no image of class {test.classes[label]!r}")
    return images[_new(images, set())]


def images_for(samples: int) -> int:
    """Images of each of two classes that make so many different mixes."""
    return isqrt(max(samples, 1) - 1) + 1


def _join(way: str, generator: torch.Generator, autoencoder: nn.Module | None = None) -> Join:
    return lambda first, second: combine(first, second, way, generator, autoencoder)


def _new(images: Tensor, seen: set[bytes]) -> list[int]:
    """Places of the images that are not in `seen`, each once; adds them to it."""
    places = []
    for place, image in enumerate(images.cpu().numpy()):
        content = image.tobytes()
        if content not in seen:
            seen.add(content)
            places.append(place)
    return places
