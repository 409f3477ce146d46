"""A gate that stays shut for clean images: a surrogate learns where those lie, so it must not move them."""

from copy import deepcopy

import torch
from torch import Tensor

from mea_lib.models import ImageClassifier
from mea_lib.watermarks.gate import ORDINARY


def shut(gate: ImageClassifier, clean: Tensor, opens: float) -> ImageClassifier:
    """Take probability from the kinds that a gate knows, until it opens for no more than a share of clean images.

    To open for an image means that a kind is at least as probable as that the image is an ordinary one. Only the
    biases of the last layer change, of each kind by itself, and never upwards.

    Args:
        gate: (N, C, H, W) images → (N, 1 + K) logits, of ordinary images first; it is left as it is.
        clean: (N, C, H, W) images that are ordinary, and most like the others.
        opens: share of them for which each kind may still open, at least 0 and below 1.

    Returns:
        the gate that stays shut, in evaluation mode.

    Raises:
        ValueError: for another share.
    """
    if not 0 <= opens < 1:
        raise ValueError(f"opens must be at least 0 and below 1, not {opens}")
    careful = deepcopy(gate).eval()
    with torch.no_grad():
        logits = torch.cat([careful(images).float() for images in clean.split(1_000)])  # (N, 1 + K)
        lead = logits - logits[:, [ORDINARY]]  # of each kind over ordinary
        careful.head.bias -= lead.quantile(1 - opens, dim=0).clamp_min(0)
    return careful
