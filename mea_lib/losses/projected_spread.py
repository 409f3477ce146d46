"""How far outputs lie apart along the directions in which the clean classes stretch."""

import torch
from torch import Tensor


def projected_spread_loss(outputs: Tensor, directions: Tensor) -> Tensor:
    """The mean of |(oᵢ − oⱼ) · v_c| / ‖v_c‖ over all pairs of outputs and all directions.

    What an adversary does to the clean classes moves outputs along these directions. Outputs that are close along
    them are moved together, and stay one cluster.

    Args:
        outputs: (N, K) logits of the watermark's images.
        directions: (C, K), as `principal_directions` gives them; a row of zeros adds nothing.

    Returns:
        scalar; the pairs of an output with itself are among those averaged.

    Source: Class-Feature Watermark (AAAI 2026). Its released code multiplies (oᵢ − oⱼ) by the matrix whose rows are
    the directions, not by its transpose, and divides by the lengths of that matrix's columns; it runs, since there
    are as many classes as logits. Here it is the projection.
    """
    unit = directions / directions.norm(dim=1, keepdim=True).clamp_min(1e-12)
    projected = outputs.float() @ unit.float().T  # (N, C)
    return (projected[:, None] - projected[None]).abs().mean()


def principal_directions(logits: Tensor, labels: Tensor, classes: int) -> Tensor:
    """The first principal direction of each class's logits.

    Args:
        logits: (N, K).
        labels: (N,) class numbers.
        classes: C.

    Returns:
        (C, K) rows of length 1, in the sign that the solver gives; zeros for a class of fewer than two rows.
    """
    found = torch.zeros(classes, logits.shape[1], dtype=torch.float64)
    for one in range(classes):
        rows = logits[labels == one].cpu().double()  # not every device has float64
        if len(rows) > 1:
            centred = rows - rows.mean(0)
            found[one] = torch.linalg.eigh(centred.T @ centred).eigenvectors[:, -1]
    return found.float().to(logits.device)
