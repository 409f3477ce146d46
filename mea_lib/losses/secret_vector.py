"""How near decoded features point to a secret vector: near for the watermark, at right angles for all else."""

from torch import Tensor
from torch.nn import functional as F


def secret_alignment_loss(decoded: Tensor, secret: Tensor) -> Tensor:
    """−cos(decoded, secret), averaged over the batch: triggered images are to be decoded to the secret vector.

    Args:
        decoded: (N, L) what a decoder makes of the features of N triggered images.
        secret: (L,).

    Returns:
        scalar in float32, from −1, where every row points as the secret does, to 1.

    Raises:
        ValueError: where rows and secret are not of the same length.

    Source: SSLGuard (CCS 2022), the watermark's term of the encoder and that of decoder and trigger.
    """
    return -_cosines(decoded, secret).mean()


def secret_orthogonality_loss(decoded: Tensor, secret: Tensor) -> Tensor:
    """cos²(decoded, secret), averaged over the batch: clean images are to be decoded at right angles to the secret.

    Args:
        decoded: (N, L) what a decoder makes of the features of N images that are not to show the watermark.
        secret: (L,).

    Returns:
        scalar in float32, from 0 to 1.

    Raises:
        ValueError: where rows and secret are not of the same length.

    Source: SSLGuard (CCS 2022). Its released code squares the mean of a batch of two. In a batch of hundreds, cosines of
    both signs would cancel in that mean, so here each is squared.
    """
    return _cosines(decoded, secret).square().mean()


def _cosines(decoded: Tensor, secret: Tensor) -> Tensor:
    """(N,)"""
    if decoded.ndim != 2 or decoded.shape[1:] != secret.shape:
        raise ValueError(
            f"a secret vector of the shape {tuple(secret.shape)} is compared with rows of its own length, not with "
            f"the shape {tuple(decoded.shape)}"
        )
    return F.cosine_similarity(decoded.float(), secret.float()[None], dim=1)
