"""How far apart two encoders' features of the same image are, or those of two images in one encoder."""

from torch import Tensor
from torch.nn import functional as F

DISTANCES = ("mse", "l1", "l2", "cosine")


def feature_distance(first: Tensor, second: Tensor, distance: str = "mse") -> Tensor:
    """Mean distance between the rows of two tables of features.

    Args:
        first: (N, F).
        second: (N, F), row by row what the first is compared with.
        distance: "mse", the mean of squared differences over all features; "l1", that of absolute ones; "l2", the
            Euclidean length of the difference of two rows; "cosine", 1 minus the cosine of their angle.

    Returns:
        scalar, in float32 under autocast too.

    Raises:
        ValueError: for tables of different shapes, which would be compared by broadcasting, or an unknown distance.
    """
    if first.shape != second.shape:
        raise ValueError(
            f"features are compared row by row, so their shapes must be equal, not {tuple(first.shape)} "
            f"and {tuple(second.shape)}"
        )
    check_distance(distance)
    first, second = first.float(), second.float()
    if distance == "mse":
        return F.mse_loss(first, second)
    if distance == "l1":
        return F.l1_loss(first, second)
    if distance == "l2":
        return (first - second).norm(dim=1).mean()
    return 1 - F.cosine_similarity(first, second, dim=1).mean()


def check_distance(distance: str) -> None:
    """Raise a ValueError that names the distances there are, when this is none of them."""
    if distance not in DISTANCES:
        raise ValueError(f"unknown distance {distance!r}; choose one of: {', '.join(DISTANCES)}")
