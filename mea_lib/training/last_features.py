"""The last features of many images, a few at a time."""

import torch
from torch import Tensor

from mea_lib.models import ImageClassifier


@torch.no_grad()
def last_features(model: ImageClassifier, images: Tensor, batch_size: int = 1_000) -> Tensor:
    """What the last layer of a classifier is given, in the mode that it is in.

    Args:
        model: (N, C, H, W) images → (N, K) logits, with `features`.
        images: (N, C, H, W) uint8, on any device.
        batch_size: images at once.

    Returns:
        (N, F), on the model's device.
    """
    device = next(model.parameters()).device
    return torch.cat([model.features(part.to(device)) for part in images.split(batch_size)])
