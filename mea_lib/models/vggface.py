"""VGGFace (Parkhi et al. 2015): VGG-16's configuration, with batch normalisation, for small images."""

from torch import nn

from mea_lib.models.base import conv_block

STAGES = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))


def body(channels: int, size: int, width: int) -> tuple[nn.Module, int]:
    """Thirteen convolutions and two hidden layers, (N, C, H, W) → (N, 64·width)."""
    layers: list[nn.Module] = []
    inputs = channels
    for number, (multiple, depth) in enumerate(STAGES):
        for _ in range(depth):
            layers.append(conv_block(inputs, multiple * width))
            inputs = multiple * width
        if size >> (number + 1):
            layers.append(nn.MaxPool2d(2))
    layers += [
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(inputs, 64 * width),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
        nn.Linear(64 * width, 64 * width),
        nn.ReLU(inplace=True),
        nn.Dropout(0.5),
    ]
    return nn.Sequential(*layers), 64 * width
