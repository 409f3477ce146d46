"""A small VGG with batch normalisation: the paper's "VGG-like" network for CIFAR-10."""

from torch import nn

from mea_lib.models.base import conv_block


def body(channels: int, size: int, width: int) -> tuple[nn.Module, int]:
    """Three stages of two convolutions and a hidden layer, (N, C, H, W) → (N, 8·width)."""
    w = width
    layers = nn.Sequential(
        conv_block(channels, w),
        conv_block(w, w),
        nn.MaxPool2d(2),
        conv_block(w, 2 * w),
        conv_block(2 * w, 2 * w),
        nn.MaxPool2d(2),
        conv_block(2 * w, 4 * w),
        conv_block(4 * w, 4 * w),
        nn.AdaptiveMaxPool2d(4),
        nn.Flatten(),
        nn.Linear(4 * w * 16, 8 * w),
        nn.ReLU(inplace=True),
        nn.Dropout(0.25),
    )
    return layers, 8 * w
