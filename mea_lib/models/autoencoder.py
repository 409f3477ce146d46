"""A convolutional autoencoder, for the combining scheme that blends the codes of two images."""

from typing import Any

from torch import Tensor, nn

from mea_lib.models.base import conv_block
from mea_lib.seeded import seeded


class Autoencoder(nn.Module):
    """Encodes images in [0, 1] at a quarter of their size, and decodes them again.

    Args:
        channels: 1 or 3.
        size: height and width in pixels, a multiple of 4.
        width: channels of the code are twice this.
        seed: of the weights; the global random state is left as it was.
    """

    def __init__(self, channels: int, size: int, width: int, seed: int = 0) -> None:
        super().__init__()
        if size % 4:
            raise ValueError(f"the autoencoder takes images whose size is a multiple of 4, not {size}")
        self.spec = {"network": "autoencoder", "channels": channels, "size": size, "width": width}
        self.card: dict[str, Any] = {}
        with seeded(seed):
            self.encoder = nn.Sequential(
                conv_block(channels, width),
                nn.MaxPool2d(2),
                conv_block(width, 2 * width),
                nn.MaxPool2d(2),
                nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            )
            self.decoder = nn.Sequential(
                nn.ReLU(),
                nn.Upsample(scale_factor=2),
                conv_block(2 * width, 2 * width),
                nn.Upsample(scale_factor=2),
                conv_block(2 * width, width),
                nn.Conv2d(width, channels, 3, padding=1),
                nn.Sigmoid(),
            )

    def encode(self, images: Tensor) -> Tensor:
        """(N, C, H, W) in [0, 1] → (N, 2·width, H/4, W/4)."""
        return self.encoder(images)

    def decode(self, codes: Tensor) -> Tensor:
        """(N, 2·width, H/4, W/4) → (N, C, H, W) in [0, 1]."""
        return self.decoder(codes).float()

    def forward(self, images: Tensor) -> Tensor:
        return self.decode(self.encode(images))
