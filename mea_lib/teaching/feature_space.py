"""Pictures of what a model makes of a few classes."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from mea_lib.teaching.figures import PALETTE

COLOURS = (PALETTE["victim"], PALETTE["surrogate"], PALETTE["target"])
POINTS = 300  # of a cloud: more hide one another


def feature_space(
    panels: Mapping[str, Sequence[Tensor]],
    names: Sequence[str],
    *,
    others: Mapping[str, Tensor] | None = None,
) -> Sequence[Axes]:
    """Clouds of features in the plane of their two principal components, one panel a model.

    The components are those of the clouds that are named first, the classes, each centred and divided by the
    deviation of its feature; the last cloud, the mixes, takes no part in them. The sign of a component means
    nothing, so every panel is turned alike: the first class left of the second, the last class above both.

    Args:
        panels: by title of the panel: features or outputs (N, F) of each cloud, in the order of `names`, the mixes last.
        names: of the clouds; two or three classes, then the mixes.
        others: by title of the panel, features (N, F) of all other classes, drawn in grey behind.

    Returns:
        the axes, from left to right.
    """
    figure, axes = plt.subplots(1, len(panels), figsize=(3.1 * len(panels) + 0.4, 3.5), squeeze=False)
    for axis, (title, clouds) in zip(axes[0], panels.items(), strict=True):
        clouds = [cloud[:POINTS].cpu().double().numpy() for cloud in clouds]
        place = _plane(clouds[:-1])
        if others is not None:
            grey = place(others[title][:POINTS].cpu().double().numpy())
            axis.scatter(*grey.T, s=6, color="0.8", lw=0, label="other classes")
        for cloud, name, colour in zip(clouds[:-1], names[:-1], COLOURS, strict=False):
            axis.scatter(*place(cloud).T, s=9, color=colour, lw=0, alpha=0.7, label=name)
        axis.scatter(*place(clouds[-1]).T, s=14, color="black", marker="x", lw=0.8, label=names[-1])
        axis.set(title=title, xticks=[], yticks=[])
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower center", ncols=len(labels), frameon=False, fontsize=9, markerscale=1.8
    )
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    return list(axes[0])


def _plane(classes: Sequence[np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """What puts features (N, F) into the plane of the principal components of these classes, (N, 2)."""
    from sklearn.decomposition import PCA  # here, since it takes a second that only these pictures need

    stacked = np.concatenate(classes)
    mean, deviation = stacked.mean(0), stacked.std(0).clip(1e-6)
    plane = PCA(2, random_state=0).fit((stacked - mean) / deviation)
    centres = np.array([plane.transform((cloud - mean) / deviation).mean(0) for cloud in classes])
    rightwards = centres[1, 0] - centres[0, 0]
    upwards = centres[-1, 1] - centres[:-1, 1].mean()
    turn = np.where(np.array([rightwards, upwards]) < 0, -1.0, 1.0)
    return lambda features: plane.transform((features - mean) / deviation) * turn
