"""What every network here shares: images go in as they are, features and logits come out."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Protocol

import torch
from torch import Tensor, nn


class Images(Protocol):
    """What an `ImageSet` says of its images."""

    channels: int
    size: int
    mean: Sequence[float]
    std: Sequence[float]


@dataclass(frozen=True)
class Input:
    """What a network takes in.

    Attributes:
        channels: 1 or 3.
        size: height and width of the images in pixels, at least 16.
        mean: of each channel, of pixels in [0, 1]; subtracted by the network itself.
        std: the same for standard deviations; divided by.
    """

    channels: int
    size: int
    mean: Sequence[float]
    std: Sequence[float]

    @classmethod
    def of(cls, images: Images) -> "Input":
        """Of images like these; an `ImageSet` knows all four."""
        return cls(images.channels, images.size, images.mean, images.std)

    @classmethod
    def split_from(cls, spec: dict[str, Any]) -> tuple["Input", dict[str, Any]]:
        """The part of a network's `spec` that says what it takes in, and the rest of it."""
        names = {field.name for field in fields(cls)}
        given = {name: value for name, value in spec.items() if name in names}
        return cls(**given), {name: value for name, value in spec.items() if name not in names}


class ImageClassifier(nn.Module):
    """A network that normalises its own input, with a linear layer on its last features.

    Args:
        body: (N, C, H, W) normalised floats → (N, F) features.
        features: F.
        spec: what `mea_lib.models.build` made it from, kept so that it can be made again.
    """

    def __init__(self, body: nn.Module, features: int, spec: dict[str, Any]) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(features, spec["classes"])
        self.spec = spec
        self.card: dict[str, Any] = {}
        self.register_buffer("mean", torch.tensor(spec["mean"]).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(spec["std"]).view(1, -1, 1, 1))

    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 from 0 to 255, or floats in [0, 1] → (N, F) in float32."""
        if images.ndim != 4 or images.shape[1] != self.spec["channels"]:
            raise ValueError(
                f"this model takes images of the shape (N, {self.spec['channels']}, H, W), "
                f"not {tuple(images.shape)}"
            )
        if not (images.dtype == torch.uint8 or images.is_floating_point()):
            raise TypeError(f"images are uint8 from 0 to 255, or floats in [0, 1], not {images.dtype}")
        pixels = images.float() / 255 if images.dtype == torch.uint8 else images.float()
        normalised = (pixels - self.mean) / self.std
        return self.body(normalised.contiguous(memory_format=torch.channels_last)).float()

    def logits(self, features: Tensor) -> Tensor:
        """(N, F) features → (N, K) in float32."""
        return self.head(features).float()

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images → (N, K) logits."""
        return self.logits(self.features(images))


def conv_block(inputs: int, outputs: int, kernel: int = 3) -> nn.Sequential:
    """Convolution that keeps the size, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
