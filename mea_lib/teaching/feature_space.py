"""Pictures of what a model makes of a few classes."""

from collections.abc import Callable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from mea_lib.teaching.figures import PALETTE

# Hues that stand for no party; the last class is the target.
COLOURS = ("#D9AE00", "#7F4F24", PALETTE["target"])
MARKERS = ("o", "^", "s")
POINTS = 300  # of a class's cloud: more hide one another
CROSSES = 150  # of the mixes, which are drawn last


def feature_space(
    panels: Mapping[str, Sequence[Tensor]],
    names: Sequence[str],
    *,
    others: Mapping[str, Tensor] | None = None,
) -> Sequence[Axes]:
    """Clouds of features in the plane of their two principal components, with their means on top, one panel a model.

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
        clouds = [cloud.cpu().double().numpy() for cloud in clouds]
        place = _plane([cloud[:POINTS] for cloud in clouds[:-1]])
        if others is not None:
            grey = place(others[title][:POINTS].cpu().double().numpy())
            axis.scatter(*grey.T, s=6, color="0.8", lw=0, label="other classes")
        for cloud, name, colour in zip(clouds[:-1], names[:-1], COLOURS, strict=False):
            axis.scatter(*place(cloud[:POINTS]).T, s=9, color=colour, lw=0, alpha=0.5, label=name)
        mixes = place(clouds[-1])
        axis.scatter(*mixes[:CROSSES].T, s=9, color="black", marker="x", lw=0.6, alpha=0.45, label=names[-1])
        for cloud, colour, marker in zip(clouds[:-1], COLOURS, MARKERS, strict=False):
            _mean(axis, place(cloud), color=colour, marker=marker, edgecolor="black")
        _mean(axis, mixes, color="black", marker="X", edgecolor="white")
        axis.set(title=title, xticks=[], yticks=[])
    drawn = axes[0][0].collections
    means, grey = drawn[-len(names) :], drawn[:1] if others is not None else []
    figure.legend(
        [*means, *grey],
        [*names, *(["other classes"] if grey else [])],
        loc="lower center",
        ncols=len(names) + len(grey),
        frameon=False,
        fontsize=9,
    )
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    return list(axes[0])


def _mean(axis: Axes, points: np.ndarray, **look: str) -> None:
    """The mean of a cloud (N, 2), large and on top."""
    axis.scatter(*points.mean(0), s=120, zorder=5, label="_mean", **look)


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
