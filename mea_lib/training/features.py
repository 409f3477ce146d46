"""The features of many images, a few at a time."""

import torch
from torch import Tensor, nn

from mea_lib.models.evaluation import in_evaluation
from mea_lib.training.answering import answering

BATCH_ON_CPU, BATCH_ELSEWHERE = 250, 4_000


@torch.no_grad()
def features_of(encoder: nn.Module, images: Tensor, batch_size: int | None = None) -> Tensor:
    """What an encoder answers, in evaluation mode.

    Args:
        encoder: (N, C, H, W) images → (N, F); its mode is left as it was.
        images: (N, C, H, W) uint8.
        batch_size: images at once; by default few on a CPU, whose cache they fit, and many elsewhere.

    Returns:
        (N, F) float32, on the encoder's device.
    """
    device = next(encoder.parameters()).device
    size = batch_size or (BATCH_ON_CPU if device.type == "cpu" else BATCH_ELSEWHERE)
    with in_evaluation(encoder):
        answer = answering(encoder, len(images))
        return torch.cat([answer(part.to(device)).float() for part in images.split(size)])
