"""The clean task of an encoder: two views of one image are told from the views of all others."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.losses.temperature import check_temperature


def nt_xent_loss(first: Tensor, second: Tensor, temperature: float = 0.5) -> Tensor:
    """Normalised temperature-scaled cross-entropy (Eq. 2).

    Each of the 2N projections has one partner, the other view of its image, which it is to find among the
    2N − 1 others by cosine similarity:
    −log(exp(cos(z, z⁺)/τ) / Σ_{k ≠ z} exp(cos(z, z_k)/τ)), averaged over all 2N.

    Args:
        first: (N, D) projections of one view of N images.
        second: (N, D) projections of another view of the same images, in the same order.
        temperature: τ; the smaller, the more the nearest wrong candidates count.

    Returns:
        scalar, in nats; computed in float32 under autocast too. It is at most log(2N − 1) + 2/τ.

    Raises:
        ValueError: for projections of different shapes, or a temperature that is not above 0.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (ICML 2020), Eq. 1.
    """
    if first.ndim != 2 or first.shape != second.shape:
        raise ValueError(
            f"two views have projections of one shape (N, D), not {tuple(first.shape)} and {tuple(second.shape)}; "
            "give both views of the same images"
        )
    check_temperature(temperature)
    with torch.autocast(first.device.type, enabled=False):
        rows = F.normalize(torch.cat([first, second]).float(), dim=1)  # (2N, D)
        similarities = rows @ rows.T / temperature  # (2N, 2N)
        itself = torch.eye(len(rows), dtype=torch.bool, device=rows.device)
        partners = torch.arange(len(rows), device=rows.device).roll(len(first))
        return F.cross_entropy(similarities.masked_fill(itself, -torch.inf), partners)
