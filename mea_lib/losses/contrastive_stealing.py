"""The loss of contrastive extraction: the victim's features of an image tell it from all others."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.losses.temperature import check_temperature


def contrastive_stealing_loss(features: Tensor, answers: Tensor, temperature: float = 0.5) -> Tensor:
    """Pull the surrogate's features of each image to the victim's, push them off those of all other images.

    With sᵢ of the surrogate, tᵢ of the victim and sim their cosine divided by τ:
    −log(exp sim(sᵢ, tᵢ) / (Σ_{j≠i} exp sim(sᵢ, tⱼ) + Σ_{j≠i} exp sim(sᵢ, sⱼ))), averaged over i.
    The positive pair is not in the denominator, so the loss can fall below 0.

    Args:
        features: (N, F) of the surrogate, N at least 2.
        answers: (N, F) of the victim to the same images, or to other views of them, in the same order.
        temperature: τ; the smaller, the more the nearest wrong candidates count.

    Returns:
        scalar, in nats; computed in float32 under autocast too.

    Raises:
        ValueError: for two tensors that are not of one shape, a single row, or a temperature that is not above 0.

    Source: Sha et al., Can't Steal? Cont-Steal! (CVPR 2023): D⁺_encoder, D⁻_encoder and D⁻_self. Their released
    Loss.py is NT-Xent of both encoders' features instead: the positive is in the denominator, and the victim's
    features are anchors too.
    """
    if features.ndim != 2 or features.shape != answers.shape:
        raise ValueError(
            f"features and answers have one shape (N, F), not {tuple(features.shape)} and {tuple(answers.shape)}; "
            "give the surrogate as many features as the victim answers with"
        )
    if len(features) < 2:
        raise ValueError("a contrast needs at least 2 images in a batch, not 1; take a larger batch_size")
    check_temperature(temperature)
    with torch.autocast(features.device.type, enabled=False):
        surrogate, victim = (F.normalize(rows.float(), dim=1) for rows in (features, answers))
        to_victim, to_itself = (
            surrogate @ victim.T / temperature,
            surrogate @ surrogate.T / temperature,
        )  # (N, N)
        same = torch.eye(len(surrogate), dtype=torch.bool, device=surrogate.device)
        others = torch.cat([to_victim, to_itself], dim=1)  # (N, 2N)
        others = others.masked_fill(torch.cat([same, same], dim=1), -torch.inf)
        return (others.logsumexp(1) - to_victim.diagonal()).mean()
