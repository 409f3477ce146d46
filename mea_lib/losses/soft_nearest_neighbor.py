"""How well the groups of a batch keep to themselves: low where a point's near neighbours are of its own group."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.losses.temperature import check_temperature

NEIGHBOUR_DISTANCES = ("cosine", "euclidean")


def soft_nearest_neighbor_loss(
    features: Tensor, groups: Tensor, temperature: float | Tensor = 1.0, distance: str = "cosine"
) -> Tensor:
    """Soft nearest neighbour loss: −log of the probability that a point's neighbour is of its own group.

    −mean_i log(Σ_{k≠i, g_k=g_i} exp(−d_ik/T) / Σ_{k≠i} exp(−d_ik/T)). It is least, 0, where groups lie apart. Where
    they cannot be told from one another it is log((N−1)/(n−1)) for groups of n among N points, log 2 for two halves
    of a large batch; a watermark that makes it large entangles both groups.

    Args:
        features: (N, ...) of any layer, all but the first dimension is one vector.
        groups: (N,) which points belong together; each group has two or more.
        temperature: T, the distance at which a neighbour counts 1/e of one that is no distance away. As a tensor it
            gets a gradient too.
        distance: "cosine", 1 minus the cosine of the angle, or "euclidean", the squared length of the difference.

    Returns:
        scalar, in nats; computed in float32 under autocast too.

    Raises:
        ValueError: for groups that do not fit the features, a point without another of its group, a temperature that
            is not above 0, or an unknown distance.

    Source: Salakhutdinov and Hinton (AISTATS 2007); Frosst, Papernot and Hinton, Analyzing and Improving
    Representations with the Soft Nearest Neighbor Loss (ICML 2019). Both, and the Entangled Watermark, write the
    squared Euclidean distance; the latter's released code takes the cosine unless told otherwise. It also adds 1e-5 to
    both sums and to the logarithm, which bounds the loss by 11.5; here the sums are taken in logarithms.
    """
    if groups.shape != features.shape[:1]:
        raise ValueError(
            f"each of the {len(features)} points needs one group, but the groups have the shape {tuple(groups.shape)}"
        )
    if distance not in NEIGHBOUR_DISTANCES:
        raise ValueError(f"unknown distance {distance!r}; choose one of: {', '.join(NEIGHBOUR_DISTANCES)}")
    check_temperature(temperature)
    others = ~torch.eye(len(features), dtype=torch.bool, device=features.device)
    own = (groups[:, None] == groups) & others  # (N, N)
    if not own.any(1).all():
        raise ValueError(
            "a group with a single point has no neighbour of its own; give two or more of each group"
        )
    with torch.autocast(features.device.type, enabled=False):
        closeness = -_distances(features.flatten(1).float(), distance) / temperature  # (N, N)
        of_own, of_all = (closeness.masked_fill(~kept, -torch.inf).logsumexp(1) for kept in (own, others))
        return (of_all - of_own).mean()


def _distances(rows: Tensor, distance: str) -> Tensor:
    """(N, F) → (N, N), not below 0."""
    if distance == "cosine":
        rows = F.normalize(rows, dim=1)
        return (1 - rows @ rows.T).clamp_min(0)
    lengths = rows.square().sum(1)
    return (lengths[:, None] + lengths - 2 * rows @ rows.T).clamp_min(0)
