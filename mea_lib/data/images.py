"""Images as uint8 tensors with their labels, and the three parts every experiment uses."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mea_lib.data.reading import Reading


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images on one device.

    A set equals itself alone; `digest` tells whether two hold the same.

    Attributes:
        images: (N, C, H, W) uint8, C is 1 or 3.
        labels: (N,) int64, from 0 to the number of classes less 1.
        classes: names of the classes, in the order of the labels, each another.
        name: of the data set, used in messages.

    Raises:
        TypeError: where images are not uint8, or labels not int64.
        ValueError: where shapes or labels do not fit, or two classes have one name.
    """

    images: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.images.dtype != torch.uint8:
            raise TypeError(
                f"{self.name}: images must be uint8 from 0 to 255, not {self.images.dtype}; "
                "multiply images in [0, 1] by 255, round and convert them"
            )
        if self.images.ndim != 4 or self.images.shape[1] not in (1, 3):
            raise ValueError(
                f"{self.name}: images must have the shape (N, C, H, W) with 1 or 3 channels, "
                f"not {tuple(self.images.shape)}"
            )
        if self.labels.shape != self.images.shape[:1]:
            raise ValueError(
                f"{self.name}: {len(self.images)} images need as many labels, not {tuple(self.labels.shape)}"
            )
        if self.labels.dtype != torch.int64:
            raise TypeError(
                f"{self.name}: labels must be int64, numbers of classes from 0, not {self.labels.dtype}; "
                "convert them with .long()"
            )
        if len(set(self.classes)) < len(self.classes):
            raise ValueError(
                f"{self.name}: each class needs a name of its own; got {', '.join(map(str, self.classes))[:300]}"
            )
        if len(self.labels) and not 0 <= int(self.labels.min()) <= int(self.labels.max()) < len(self.classes):
            raise ValueError(f"{self.name}: labels must lie between 0 and {len(self.classes) - 1}")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    @property
    def size(self) -> int:
        """Height and width of the images in pixels.

        Raises:
            ValueError: where they are not square, which every network here takes its images to be.
        """
        height, width = self.images.shape[2:]
        if height != width:
            raise ValueError(
                f"{self.name}: images of {height} by {width} pixels are not square; "
                "mea_lib.data.resize.to_form makes them so"
            )
        return height

    def class_index(self, name: str | int) -> int:
        """Number of the class called `name`.

        Raises:
            ValueError: names the classes there are.
        """
        if isinstance(name, int) and 0 <= name < len(self.classes):
            return name
        if name not in self.classes:
            raise ValueError(f"unknown class {name!r} for {self.name}; it has: {', '.join(self.classes)}")
        return self.classes.index(name)

    @cached_property
    def by_class(self) -> tuple[Tensor, Tensor]:
        """Indices of all images ordered by class, and the number of images of each class; both on the CPU."""
        labels = self.labels.cpu()
        return labels.argsort(stable=True), torch.bincount(labels, minlength=len(self.classes))

    def places(self, name: str | int) -> Tensor:
        """Indices of all images of one class."""
        order, counts = self.by_class
        return order.split(counts.tolist())[self.class_index(name)].to(self.images.device)

    def of_class(self, name: str | int) -> Tensor:
        """All images of one class, (M, C, H, W)."""
        return self.images[self.places(name)]

    def subset(self, chosen: int | Sequence[int] | Tensor) -> "ImageSet":
        """The first `chosen` images, or those at these indices; an empty set where there are none.

        Raises:
            ValueError: for a negative number of images.
        """
        if isinstance(chosen, int):
            if chosen < 0:
                raise ValueError(f"{self.name}: the number of images must be at least 0, not {chosen}")
            index = torch.arange(min(chosen, len(self)))
        else:
            index = torch.as_tensor(chosen)
            index = index if index.numel() else index.long()  # an empty list is one of floats
        index = index.to(self.images.device)
        return replace(self, images=self.images[index], labels=self.labels[index])

    def to(self, device: torch.device | str) -> "ImageSet":
        """The same images on another device; itself where they are there already."""
        if torch.device(device) == self.images.device:
            return self
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))

    @cached_property
    def _moments(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        some = self.images[:20_000].float() / 255
        deviation = some.std((0, 2, 3)).clamp_min(1e-3)
        return tuple(some.mean((0, 2, 3)).tolist()), tuple(deviation.tolist())

    @property
    def mean(self) -> tuple[float, ...]:
        """Mean of each channel, of pixels in [0, 1], over the first 20,000 images."""
        return self._moments[0]

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation of each channel, of pixels in [0, 1], over the first 20,000 images."""
        return self._moments[1]

    @cached_property
    def _digest(self) -> str:
        digest = hashlib.sha256("\n".join(self.classes).encode())
        digest.update(repr(tuple(self.images.shape)).encode())
        for tensor in (self.images, self.labels):
            digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def digest(self) -> str:
        """SHA-256 of images, labels and class names, in hexadecimal."""
        return self._digest


@dataclass(frozen=True, eq=False)
class Data:
    """What an experiment starts from: three parties that share no image.

    As a set of images it equals itself alone.

    Attributes:
        name: of the data set.
        owner: the labelled images that the owner trains on.
        adversary: the adversary's images. Extraction looks at the images alone; a label stands for the work of
            giving it by hand.
        test: the judge's labelled images, on which no model is trained.
        number_of_queries: how many images are queries, at most.
        pool: unlabelled images that the adversary queries in place of their own, see `with_queries`.
        read: summary of what was read and what was left out; `print(data.read.describe())`.
    """

    name: str
    owner: ImageSet
    adversary: ImageSet
    test: ImageSet
    number_of_queries: int | None = None
    pool: Tensor | None = None
    read: "Reading | None" = None

    @property
    def queries(self) -> Tensor:
        """(M, C, H, W) uint8, the images that the adversary queries."""
        return (self.adversary.images if self.pool is None else self.pool)[: self.number_of_queries]

    def with_queries(self, images: Tensor) -> "Data":
        """The same parties, but the adversary queries these images, as those of `image_folder` are.

        Args:
            images: (N, C, H, W) uint8 of the owner's channels and size, without labels.

        Raises:
            ValueError: for images of another kind or shape, or none.
        """
        wanted = tuple(self.owner.images.shape[1:])
        if (
            images.dtype != torch.uint8
            or images.ndim != 4
            or tuple(images.shape[1:]) != wanted
            or not len(images)
        ):
            raise ValueError(
                f"queries for {self.name} must be uint8 of the shape (N, {', '.join(map(str, wanted))}), not "
                f"{images.dtype} of {tuple(images.shape)}; "
                "mea_lib.data.image_folder(path, like=data.owner) reads such"
            )
        return replace(self, pool=images.to(self.owner.images.device))

    @property
    def held_out(self) -> ImageSet:
        """The adversary's images that are no queries: labelled by hand, they are what a model is cleaned with.

        Raises:
            ValueError: where the adversary queries all of them.
        """
        if self.pool is not None:
            return self.adversary
        number = len(self.queries)
        if number == len(self.adversary):
            raise ValueError(
                f"the adversary asks about all {number} images they have of {self.name}; choose a scale with fewer queries"
            )
        return self.adversary.subset(torch.arange(number, len(self.adversary)))
