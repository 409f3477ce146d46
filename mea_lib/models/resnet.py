"""ResNet-18 and ResNet-50 (He et al. 2016) with a 3×3 stem for small images.

torchvision's have a fixed number of channels in their first stage; here it is the width.
"""

from torch import Tensor, nn


class _Basic(nn.Module):
    """Two 3×3 convolutions beside a shortcut."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            *_convolution(inputs, planes, 3, stride), nn.ReLU(inplace=True), *_convolution(planes, planes, 3)
        )
        self.shortcut = _shortcut(inputs, planes * self.expansion, stride)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.path(x) + self.shortcut(x))


class _Bottleneck(_Basic):
    """A 3×3 convolution between two 1×1, beside a shortcut."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int) -> None:
        super().__init__(inputs, planes, stride)
        self.path = nn.Sequential(
            *_convolution(inputs, planes, 1),
            nn.ReLU(inplace=True),
            *_convolution(planes, planes, 3, stride),
            nn.ReLU(inplace=True),
            *_convolution(planes, planes * self.expansion, 1),
        )


def body_18(channels: int, size: int, width: int) -> tuple[nn.Module, int]:
    """(N, C, H, W) → (N, 8·width)."""
    return _resnet(_Basic, (2, 2, 2, 2), channels, width)


def body_50(channels: int, size: int, width: int) -> tuple[nn.Module, int]:
    """(N, C, H, W) → (N, 32·width)."""
    return _resnet(_Bottleneck, (3, 4, 6, 3), channels, width)


def _resnet(block: type[_Basic], depths: tuple[int, ...], channels: int, width: int) -> tuple[nn.Module, int]:
    layers = [*_convolution(channels, width, 3), nn.ReLU(inplace=True)]
    inputs = width
    for stage, depth in enumerate(depths):
        planes = width * 2**stage
        for number in range(depth):
            layers.append(block(inputs, planes, stride=2 if stage and not number else 1))
            inputs = planes * block.expansion
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), inputs


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


def _shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    if inputs == outputs and stride == 1:
        return nn.Identity()
    # Of a strided 1×1 convolution with fewer than 8 channels, PyTorch's backward pass writes beyond its memory (2.14,
    # channels_last, CPUs with AVX2). Leaving the other pixels out first is the same.
    return nn.Sequential(nn.MaxPool2d(1, stride), *_convolution(inputs, outputs, 1))
