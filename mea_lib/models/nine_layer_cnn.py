"""Eight convolutions and a linear layer on their mean: the paper's network for Fashion-MNIST and CIFAR-100.

The paper gives the number of layers only. Here the first convolution sees the whole image, three work at half
and four at a quarter of its size, and the linear layer reads their mean over all places.
"""

from torch import nn

from mea_lib.models.base import conv_block


def body(channels: int, size: int, width: int) -> tuple[nn.Module, int]:
    """The convolutions, (N, C, H, W) → (N, 4·width), and the number of features."""
    w = width
    layers = nn.Sequential(
        conv_block(channels, w),
        nn.MaxPool2d(2),
        conv_block(w, 2 * w),
        conv_block(2 * w, 2 * w),
        conv_block(2 * w, 2 * w),
        nn.MaxPool2d(2),
        conv_block(2 * w, 4 * w),
        conv_block(4 * w, 4 * w),
        conv_block(4 * w, 4 * w),
        conv_block(4 * w, 4 * w),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return layers, 4 * w
