"""The watermark itself."""

from torch import Tensor
from torch.nn import functional as F


def verification_loss(watermark_logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of combined images to the target class (Eq. 7, supervised).

    Args:
        watermark_logits: (N, K) outputs on combined images.
        targets: (N,) the target class y_t, N times.

    Returns:
        scalar, in nats.

    Source: MEA-Defender (S&P 2024), Eq. 7.
    """
    return F.cross_entropy(watermark_logits, targets)
