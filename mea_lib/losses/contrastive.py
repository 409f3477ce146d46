"""The extra term of Composite Backdoor."""

from torch import Tensor
from torch.nn import functional as F


def neighbour_contrastive_loss(
    outputs: Tensor, labels: Tensor, margin: float = 1.0, *, as_released: bool = False
) -> Tensor:
    """Contrastive loss on pairs of neighbours in the batch.

    Neighbours are row i and row i+1. Equal labels are pulled together by ½·d², different ones pushed apart by
    ½·max(0, margin − d)², with d the Euclidean distance of the normalised rows.

    Args:
        outputs: (N, F) of the images of the classes involved.
        labels: (N,).
        margin: distance beyond which different labels are left alone.
        as_released: take the outputs as they are and divide the mean by the number of pairs once more, as the
            authors' code does and that of MEA-Defender.

    Returns:
        scalar; 0 for fewer than two rows.

    Source: Lin et al., Composite Backdoor Attack (CCS 2020). The rows have length 1 here, so that d is at most 2
    and the term keeps its weight for every size of the batch and of the logits.
    """
    if len(outputs) < 2:
        return outputs.sum() * 0
    rows = outputs if as_released else F.normalize(outputs, dim=1)
    distance = (rows[:-1] - rows[1:]).square().sum(1).clamp_min(1e-12).sqrt()
    same = (labels[:-1] == labels[1:]).to(distance)
    pulled, pushed = distance.square(), F.relu(margin - distance).square()
    mean = (same * pulled + (1 - same) * pushed).mean() / 2
    return mean / len(same) if as_released else mean
