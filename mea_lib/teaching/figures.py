"""Figures in one style and one colour-blind-safe palette (Okabe and Ito)."""

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from torch import Tensor

# Colours that mean the same in every figure: the parts that models play, and below them the watermarks.
PALETTE = {
    "victim": "#0072B2",
    "surrogate": "#D55E00",
    "clean": "#009E73",
    "clean model": "#009E73",
    "target": "#CC79A7",
    "threshold": "#444444",
    "other": "#E69F00",
    "MEA-Defender": "#56B4E9",
    "runner-up": "#882255",
    "Composite Backdoor": "#999999",
    "patch": "#665191",
}


def use_style() -> None:
    """Set the book's style for all figures that follow."""
    sns.set_theme(style="whitegrid", context="notebook", rc={"figure.dpi": 110, "savefig.dpi": 110})


def gallery(rows: Sequence[Tensor], labels: Sequence[str], titles: Sequence[str] | None = None) -> None:
    """Images in rows, one label a row.

    Args:
        rows: uint8 images (N, C, H, W) of one row each, the same N in all.
        labels: text left of each row.
        titles: text above each column of the first row.
    """
    columns = len(rows[0])
    figure, axes = plt.subplots(
        len(rows), columns, figsize=(1.0 * columns + 1.6, 1.12 * len(rows)), squeeze=False
    )
    for row, label, line in zip(rows, labels, axes, strict=True):
        for image, axis in zip(row.cpu(), line, strict=True):
            picture = image.permute(1, 2, 0).numpy()
            axis.imshow(
                picture.squeeze(2) if picture.shape[2] == 1 else picture, cmap="gray", vmin=0, vmax=255
            )
            axis.set(xticks=[], yticks=[])
            axis.grid(False)
        line[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=10)
    for axis, title in zip(axes[0], titles or [], strict=False):
        axis.set_title(title, fontsize=9)
    figure.tight_layout(pad=0.4)
    plt.show()


def bars(
    values: Mapping[str, Mapping[str, float]],
    *,
    ylabel: str,
    colours: Mapping[str, str] | None = None,
    intervals: Mapping[str, Mapping[str, tuple[float, float]]] | None = None,
    line: float | None = None,
    line_label: str = "",
    ylim: tuple[float, float] = (0, 1.05),
) -> Axes:
    """Bars in groups: the outer names on the x axis, the inner names by colour.

    Args:
        values: value by group and series.
        ylabel: what is shown, with its unit.
        colours: colour by series; the palette's where a series is called as it is there.
        intervals: lower and upper end by group and series.
        line: a horizontal line, such as the threshold.
        line_label: its name in the legend.
        ylim: ends of the y axis.
    """
    series = list(dict.fromkeys(name for group in values.values() for name in group))
    colours = dict(zip(series, sns.color_palette("colorblind"), strict=False)) | PALETTE | dict(colours or {})
    _, axis = plt.subplots(figsize=(max(5.5, 1.25 * len(values) + 1.5), 3.6))
    width = 0.8 / len(series)
    places = np.arange(len(values))
    for number, name in enumerate(series):
        heights = np.array([group.get(name, np.nan) for group in values.values()])
        x = places + (number - (len(series) - 1) / 2) * width
        axis.bar(x, heights, width * 0.92, color=colours[name], label=name)
        if intervals:
            ends = [
                intervals.get(group, {}).get(name, (h, h)) for group, h in zip(values, heights, strict=True)
            ]
            spread = np.array([(h - low, high - h) for h, (low, high) in zip(heights, ends, strict=True)]).T
            axis.errorbar(x, heights, np.maximum(spread, 0), fmt="none", ecolor="black", capsize=3, lw=1)
    if line is not None:
        axis.axhline(line, color=PALETTE["threshold"], ls="--", lw=1.2, label=line_label or None)
    axis.set_xticks(places, list(values))
    axis.set(ylabel=ylabel, ylim=ylim)
    axis.grid(False, axis="x")
    if len(series) > 1 or line_label:
        axis.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1), fontsize=9)
    if len(values) > 5:
        axis.tick_params(axis="x", rotation=25)
    axis.figure.tight_layout()
    return axis


def curves(
    x: Sequence[float],
    lines: Mapping[str, Sequence[float]],
    *,
    xlabel: str,
    ylabel: str,
    colours: Mapping[str, str] | None = None,
    bands: Mapping[str, tuple[Sequence[float], Sequence[float]]] | None = None,
    line: float | None = None,
    line_label: str = "",
    log: bool = False,
    ylim: tuple[float, float] | None = (0, 1.05),
) -> Axes:
    """Lines with points, and a shaded band where an interval is known."""
    colours = dict(zip(lines, sns.color_palette("colorblind"), strict=False)) | PALETTE | dict(colours or {})
    _, axis = plt.subplots(figsize=(6.2, 3.6))
    for name, y in lines.items():
        axis.plot(x, y, marker="o", ms=5, color=colours[name], label=name)
        if bands and name in bands:
            axis.fill_between(x, *bands[name], color=colours[name], alpha=0.15, lw=0)
    if line is not None:
        axis.axhline(line, color=PALETTE["threshold"], ls="--", lw=1.2, label=line_label or None)
    if log:
        axis.set_xscale("log")
    axis.set_xticks(list(x), [f"{value:,g}" for value in x])
    axis.minorticks_off()
    axis.set(xlabel=xlabel, ylabel=ylabel, ylim=ylim)
    axis.legend(frameon=False, fontsize=9)
    axis.figure.tight_layout()
    return axis


def distributions(
    values: Mapping[str, Mapping[str, Tensor]],
    *,
    ylabel: str,
    colours: Mapping[str, str] | None = None,
    line: float | None = None,
    line_label: str = "",
    ylim: tuple[float, float] | None = None,
) -> Axes:
    """Distributions side by side, as violins with their medians: the outer names on the x axis, the inner by colour.

    Args:
        values: numbers (N,) by group and series, N of each its own.
        ylabel: what is shown, with its unit.
        colours: colour by series; the palette's where a series is called as it is there.
        line: a horizontal line.
        line_label: its name in the legend.
        ylim: ends of the y axis; by default all values are seen.
    """
    series = list(dict.fromkeys(name for group in values.values() for name in group))
    colours = dict(zip(series, sns.color_palette("colorblind"), strict=False)) | PALETTE | dict(colours or {})
    _, axis = plt.subplots(figsize=(max(5.5, 1.5 * len(values) + 1.5), 3.6))
    width = 0.8 / len(series)
    if line is not None:
        axis.axhline(line, color=PALETTE["threshold"], ls="--", lw=1.2, label=line_label or None)
    for number, name in enumerate(series):
        groups = [place for place, group in enumerate(values.values()) if name in group]
        numbers = [group[name].cpu().double().numpy() for group in values.values() if name in group]
        x = np.array(groups) + (number - (len(series) - 1) / 2) * width
        drawn = axis.violinplot(numbers, x, widths=width * 0.92, showextrema=False)
        for body in drawn["bodies"]:
            body.set(facecolor=colours[name], edgecolor="none", alpha=0.75)
        medians = [np.median(some) for some in numbers]
        axis.scatter(x, medians, s=22, color=colours[name], edgecolor="white", zorder=3, label=name)
    axis.set_xticks(range(len(values)), list(values))
    axis.set(ylabel=ylabel, ylim=ylim)
    axis.grid(False, axis="x")
    axis.legend(frameon=False, ncols=4, loc="lower left", bbox_to_anchor=(0, 1), fontsize=9)
    axis.figure.tight_layout()
    return axis


def heatmap(
    values: np.ndarray, rows: Sequence[str], columns: Sequence[str], *, xlabel: str, ylabel: str, label: str
) -> Axes:
    """A matrix of shares from 0 to 1 with its numbers written in."""
    _, axis = plt.subplots(figsize=(0.62 * len(columns) + 2.6, 0.5 * len(rows) + 1.6))
    sns.heatmap(
        values,
        ax=axis,
        vmin=0,
        vmax=1,
        cmap="cividis",
        annot=True,
        fmt=".2f",
        annot_kws={"size": 8},
        xticklabels=columns,
        yticklabels=rows,
        cbar_kws={"label": label},
    )
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.figure.tight_layout()
    return axis
