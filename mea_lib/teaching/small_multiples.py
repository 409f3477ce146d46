"""Many small figures of the same kind, side by side, so that the eye compares them."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from mea_lib.teaching.figures import PALETTE

Points = Mapping[float, Sequence[float]]


def side_by_side(
    panels: Mapping[str, Mapping[str, Points]],
    *,
    xlabels: Mapping[str, str],
    ylabel: str,
    line: float | None = None,
    line_label: str = "",
    columns: int = 4,
    ylim: tuple[float, float] | Mapping[str, tuple[float, float]] = (0, 1.05),
) -> np.ndarray:
    """One small figure a panel: the mean of every series by x, and a bar from its least to its largest value.

    Places on the x axis are evenly spaced, in the order in which they come.

    Args:
        panels: by title, then by series, then by x, the values that were measured there.
        xlabels: by title, what x is, with its unit.
        ylabel: what is measured.
        line: a horizontal line in every panel, such as the threshold.
        line_label: its name in the legend.
        columns: panels in a row.
        ylim: ends of every y axis; or by title, where the panels show different things.

    Returns:
        the panels' axes, in their order.
    """
    series = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    colours = dict(zip(series, sns.color_palette("colorblind"), strict=False)) | PALETTE
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    each = ylim if isinstance(ylim, Mapping) else dict.fromkeys(panels, ylim)
    figure, grid = plt.subplots(
        rows,
        columns,
        figsize=(2.7 * columns, 2.4 * rows + 0.4),
        sharey=not isinstance(ylim, Mapping),
        squeeze=False,
    )
    axes = grid.flatten()
    for axis, (title, panel) in zip(axes, panels.items(), strict=False):
        for number, (name, points) in enumerate(panel.items()):
            _draw(axis, name, points, colours[name], shift=0.08 * (number - (len(panel) - 1) / 2))
        if line is not None:
            axis.axhline(line, color=PALETTE["threshold"], ls="--", lw=1.2, label=line_label or None)
        places = list(dict.fromkeys(x for points in panel.values() for x in points))
        axis.set_xticks(range(len(places)), [f"{x:,g}" for x in places], fontsize=8)
        axis.set_title(fill(title, 28), fontsize=9)
        axis.set_xlabel(xlabels[title], fontsize=8)
        axis.set(ylim=each[title], xlim=(-0.5, len(places) - 0.5))
    for axis in grid[:, 0]:
        axis.set_ylabel(ylabel, fontsize=9)
    for axis in axes[len(panels) :]:
        axis.remove()
    handles, names = axes[0].get_legend_handles_labels()
    figure.tight_layout(rect=(0, 0, 1, 1 - 0.3 / figure.get_figheight()))
    figure.legend(handles, names, loc="upper center", ncols=len(names), frameon=False, fontsize=9)
    return axes[: len(panels)]


def _draw(axis: Axes, name: str, points: Points, colour: str, shift: float) -> None:
    means = np.array([np.mean(values) for values in points.values()])
    ends = np.array([(min(values), max(values)) for values in points.values()]).T  # (2, places)
    axis.errorbar(
        np.arange(len(means)) + shift,
        means,
        np.maximum([means - ends[0], ends[1] - means], 0),
        color=colour,
        label=name,
        marker="o",
        ms=4,
        lw=1.3,
        capsize=2,
    )
