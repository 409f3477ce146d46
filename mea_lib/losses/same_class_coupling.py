"""What ties a watermark to its target class: samples of one label lie together, whatever they are made of."""

import torch
from torch import Tensor
from torch.nn import functional as F


def same_class_coupling_loss(
    features: Tensor,
    labels: Tensor,
    centres: tuple[Tensor, Tensor],
    *,
    intra: float = 1.0,
    inter: float = 1.0,
    margin: float = 1.0,
) -> Tensor:
    """Pull every sample to the centre of its class, and push it off the centres of all others.

    λ₃/N · Σᵢ ‖fᵢ − c_yᵢ‖² + λ₄/N · Σᵢ Σ_{j ≠ yᵢ} max(0, m − ‖fᵢ − c_j‖)², with c_j the mean of the clean samples
    of class j. Watermark samples have the target class as their label, so they come to lie among its clean ones.

    Args:
        features: (N, F) of clean and watermark samples.
        labels: (N,) class numbers.
        centres: (K, F) and (K,), as `class_centres` gives them; a class without a centre takes no part.
        intra: λ₃.
        inter: λ₄.
        margin: m, a distance of features beyond which another class is left alone.

    Returns:
        scalar, in float32 under autocast too.

    Raises:
        ValueError: for a margin that is not above 0.

    Source: DeepTracer (AAAI 2026), L_cpl.
    """
    if margin <= 0:
        raise ValueError(f"the margin is a distance of features, above 0, not {margin}")
    places, present = centres
    # The mode by matrix products loses what two equal rows differ by.
    distances = torch.cdist(features.float(), places.float(), compute_mode="donot_use_mm_for_euclid_dist")
    own = F.one_hot(labels, len(places)).bool()  # (N, K)
    pulled = (distances.square() * (own & present)).sum()
    pushed = (F.relu(margin - distances).square() * (~own & present)).sum()
    return (intra * pulled + inter * pushed) / len(features)


def class_centres(features: Tensor, labels: Tensor, classes: int) -> tuple[Tensor, Tensor]:
    """The mean of each class's features, and whether there was any sample of it.

    Args:
        features: (N, F).
        labels: (N,) class numbers.
        classes: K.

    Returns:
        (K, F) in float32, zeros for a class without samples, and (K,) whether it has any.
    """
    members = F.one_hot(labels, classes).to(torch.float32)  # (N, K)
    counts = members.sum(0)
    with torch.autocast(features.device.type, enabled=False):
        return members.T @ features.float() / counts.clamp_min(1)[:, None], counts > 0
