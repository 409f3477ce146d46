"""AlexNet (Krizhevsky et al. 2012) with small kernels and strides, for images of 16 to 64 pixels."""

from torch import nn


def body(channels: int, size: int, width: int) -> tuple[nn.Module, int]:
    """Five convolutions and two hidden layers, (N, C, H, W) → (N, 16·width).

    At width 64 the convolutions have torchvision's numbers of channels; the hidden layers have 1,024 features
    in place of 4,096, since small images leave less to tell apart.
    """
    w = width
    layers = nn.Sequential(
        nn.Conv2d(channels, w, 3, stride=1 if size < 32 else 2, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(w, 3 * w, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(3 * w, 6 * w, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(6 * w, 4 * w, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(4 * w, 4 * w, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.AdaptiveMaxPool2d(4),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(4 * w * 16, 16 * w),
        nn.ReLU(inplace=True),
        nn.Dropout(0.25),
        nn.Linear(16 * w, 16 * w),
        nn.ReLU(inplace=True),
    )
    return layers, 16 * w
