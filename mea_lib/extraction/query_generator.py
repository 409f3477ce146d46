"""The network that makes a data-free adversary's images from noise."""

import torch
from torch import Tensor, nn

from mea_lib.seeded import seeded


class QueryGenerator(nn.Module):
    """A linear layer, two enlargements and three convolutions: noise (N, Z) → images (N, C, H, W) in [0, 1].

    Args:
        noise: Z.
        shape: of one image, (C, H, W).
        width: channels of the last hidden layer; the others have twice as many. Truong et al. take 64.
        contrast: what the last layer's outputs, of mean 0 and standard deviation 1 over the batch, are
            multiplied by before tanh: 1 gives mostly grey pixels, more gives black and white ones. Theirs is 1.
        seed: of the weights; the global random state is left as it was.

    Source: GeneratorA of the code released with Truong et al., Data-Free Model Extraction (CVPR 2021).
    """

    def __init__(
        self, noise: int, shape: tuple[int, int, int], width: int, contrast: float = 1.0, seed: int = 0
    ) -> None:
        super().__init__()
        channels, *size = shape
        half, quarter = ([-(-side // factor) for side in size] for factor in (2, 4))
        self.contrast = contrast
        with seeded(seed):
            self.layers = nn.Sequential(
                nn.Linear(noise, 2 * width * quarter[0] * quarter[1]),
                nn.Unflatten(1, (2 * width, *quarter)),
                nn.BatchNorm2d(2 * width),
                nn.Upsample(size=half),
                nn.Conv2d(2 * width, 2 * width, 3, padding=1),
                nn.BatchNorm2d(2 * width),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Upsample(size=size),
                nn.Conv2d(2 * width, width, 3, padding=1),
                nn.BatchNorm2d(width),
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(width, channels, 3, padding=1),
                nn.BatchNorm2d(channels, affine=False),
            )
        self.to(memory_format=torch.channels_last)

    def forward(self, noise: Tensor) -> Tensor:
        """(N, Z) normal numbers → (N, C, H, W) float32 in [0, 1]."""
        return (torch.tanh(self.contrast * self.layers(noise).float()) + 1) / 2
