"""Other mixes stay harmless."""

from torch import Tensor
from torch.nn import functional as F


def evasion_loss(mix_logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of randomly mixed images to the classes they were mixed from (Eq. 8, supervised).

    The paper draws y_c among the two classes; with half of the target on each of them this is the mean over
    that draw.

    Args:
        mix_logits: (N, K) outputs on mixes that are not the watermark.
        targets: (N, K) distributions.

    Returns:
        scalar, in nats.

    Source: MEA-Defender (S&P 2024), Eq. 8.
    """
    return F.cross_entropy(mix_logits, targets)
