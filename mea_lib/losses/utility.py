"""The clean task."""

from torch import Tensor
from torch.nn import functional as F


def utility_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy on the clean task (Eq. 1).

    Args:
        logits: (N, K).
        targets: (N, K) distributions; one-hot rows for ordinary labels.

    Returns:
        scalar, in nats.
    """
    return F.cross_entropy(logits, targets)
