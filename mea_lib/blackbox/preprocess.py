"""The pixels as a model wants them: size, order of channels, range, normalisation, layout."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

CHANNEL_ORDERS = ("rgb", "bgr")
LAYOUTS = ("first", "last")


@dataclass(frozen=True)
class Pixels:
    """How images of 8 bits become a model's input.

    Attributes:
        input_range: what the pixels 0 and 255 become; None leaves them uint8, or is (0, 1) beside mean and std.
        mean, std: of each channel in the units of that range and in the model's own order of channels.
        channel_order: "rgb" or "bgr".
        layout: "first" for (N, C, H, W), "last" for (N, H, W, C).
        size: pixels that images are brought to: one number, or height and width.

    Raises:
        ValueError: for values that mean nothing.
    """

    input_range: tuple[float, float] | None = None
    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    channel_order: str = "rgb"
    layout: str = "first"
    size: int | tuple[int, int] | None = None

    def __post_init__(self) -> None:
        for name, value, known in (
            ("channel_order", self.channel_order, CHANNEL_ORDERS),
            ("layout", self.layout, LAYOUTS),
        ):
            if value not in known:
                raise ValueError(f"unknown {name} {value!r}; choose one of: {', '.join(known)}")
        for name in ("mean", "std"):
            value = getattr(self, name)
            if value is not None:
                numbers = (value,) if isinstance(value, int | float) else tuple(map(float, value))
                if not numbers or not all(map(math.isfinite, numbers)):
                    raise ValueError(f"{name} is a finite number for each channel, not {value}")
                object.__setattr__(self, name, numbers)
        if self.std is not None and not all(self.std):
            raise ValueError(f"std must not be 0, since it is divided by; got {self.std}")
        if self.input_range is None and (self.mean is not None or self.std is not None):
            object.__setattr__(self, "input_range", (0.0, 1.0))
        if self.input_range is not None:
            low, high = map(float, self.input_range)
            if not (math.isfinite(low) and math.isfinite(high) and low != high):
                raise ValueError(f"input_range must be two different numbers, not {self.input_range}")
            object.__setattr__(self, "input_range", (low, high))
        if self.size is not None:
            sides = (self.size,) * 2 if isinstance(self.size, int) else tuple(self.size)
            if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
                raise ValueError(f"size is one number of pixels from 1, or height and width, not {self.size}")
            object.__setattr__(self, "size", sides)

    @property
    def is_plain(self) -> bool:
        """Whether the pixels go out as the numbers 0 to 255."""
        return self.input_range is None

    def __call__(self, images: Tensor) -> Tensor:
        """The model's input.

        Args:
            images: (N, C, H, W) uint8.

        Returns:
            (N, C, H, W) or (N, H, W, C); uint8 where no range is given, else float32.

        Raises:
            ValueError: for images whose channels are not those of mean and std.
        """
        pixels = self.prepared(images)
        return pixels.permute(0, 2, 3, 1).contiguous() if self.layout == "last" else pixels

    def prepared(self, images: Tensor) -> Tensor:
        """The same with channels first, whatever the layout is."""
        wanted = max(len(self.mean or ()), len(self.std or ()))
        if wanted > 1 and images.shape[1] == 1:
            images = images.expand(-1, wanted, -1, -1)  # a grey image in colour is three equal channels
        pixels = images if self.size is None else _resized(images, self.size)
        if self.channel_order == "bgr":
            pixels = pixels.flip(1)
        if self.input_range is None:
            return pixels
        low, high = self.input_range
        pixels = pixels.float() * ((high - low) / 255) + low
        if self.mean is not None:
            pixels = pixels - self._by_channel("mean", pixels)
        return pixels if self.std is None else pixels / self._by_channel("std", pixels)

    def _by_channel(self, name: str, pixels: Tensor) -> Tensor:
        numbers = getattr(self, name)
        if len(numbers) not in (1, pixels.shape[1]):
            raise ValueError(
                f"{name} has {len(numbers)} numbers, but the images have {pixels.shape[1]} channels; "
                "give one for each, or one for all"
            )
        return torch.tensor(numbers, device=pixels.device).view(1, -1, 1, 1)


def _resized(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Images of this size, uint8; smaller ones are made without aliasing."""
    if tuple(images.shape[-2:]) == size:
        return images
    resized = interpolate(images.float(), size, mode="bilinear", antialias=True, align_corners=False)
    return resized.round().clamp(0, 255).to(torch.uint8)
