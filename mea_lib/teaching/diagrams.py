"""Two pictures without data: who knows what, and which loss pulls what where."""

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch

from mea_lib.teaching.figures import PALETTE

INK = "#333333"


def threat_model_diagram() -> Axes:
    """Owner, adversary and judge with what passes between them, on axes from 0 to 10 and 0 to 6."""
    axis = _empty(9.2, 5.2, 10, 6)
    _box(
        axis,
        (0.2, 3.4),
        3.2,
        2.2,
        "Owner",
        "labelled images\nsecret key\nvictim's weights",
        PALETTE["victim"],
    )
    _box(
        axis,
        (6.6, 3.4),
        3.2,
        2.2,
        "Adversary",
        "own images, no labels\nany network\na query budget",
        PALETTE["surrogate"],
    )
    _box(axis, (3.4, 0.3), 3.2, 1.7, "Judge", "commitment, opened key\ntest images, clean models", INK)
    _arrow(axis, (6.5, 5.1), (3.5, 5.1), "queries: clean images")
    _arrow(axis, (3.5, 4.2), (6.5, 4.2), "answers: probabilities")
    _arrow(axis, (1.8, 3.3), (3.6, 2.1), "commitment,\nbefore the sale", (-1.05, 0.0))
    _arrow(axis, (6.4, 2.1), (8.2, 3.3), "combined images\nto the surrogate's API", (1.35, -0.05))
    return axis


def losses_diagram() -> Axes:
    """The four losses and the source guard as arrows between images and the answers that are asked for."""
    axis = _empty(9.2, 4.6, 10, 5)
    rows = (
        (4.3, "clean image x", "its label", r"$L_{utility}$", PALETTE["clean"]),
        (
            3.3,
            r"source images $x_{si}, x_{sj}$",
            "their labels",
            "source guard (added here)",
            PALETTE["clean"],
        ),
        (1.9, r"combined image $x_{wm}$", "target class", r"$L_{ver}$", PALETTE["target"]),
        (0.6, r"other mix $x_{ad}$", "its own classes", r"$L_{eva}$", PALETTE["clean"]),
    )
    for y, image, answer, loss, colour in rows:
        _box(axis, (0.2, y - 0.35), 3.3, 0.7, "", image, INK)
        _box(axis, (7.0, y - 0.35), 2.8, 0.7, "", answer, colour)
        _arrow(axis, (3.6, y), (6.9, y), loss)
    axis.annotate(
        "",
        (0.9, 2.9),
        (0.9, 2.3),
        arrowprops={"arrowstyle": "<->", "color": PALETTE["target"], "lw": 2},
    )
    axis.text(1.15, 2.6, r"$L_{com}$: equal answers", color=INK, va="center", fontsize=10)
    return axis


def _empty(width: float, height: float, right: float, top: float) -> Axes:
    figure, axis = plt.subplots(figsize=(width, height))
    figure.subplots_adjust(0, 0, 1, 1)
    axis.set(xlim=(0, right), ylim=(0, top))
    axis.axis("off")
    return axis


def _box(
    axis: Axes, corner: tuple[float, float], width: float, height: float, title: str, text: str, colour: str
) -> None:
    axis.add_patch(FancyBboxPatch(corner, width, height, "round,pad=0.06", fc="white", ec=colour, lw=2))
    middle = corner[0] + width / 2
    if title:
        axis.text(
            middle, corner[1] + height - 0.3, title, ha="center", va="center", weight="bold", color=colour
        )
    lower = corner[1] + (height - 0.45 if title else height) / 2
    axis.text(middle, lower, text, ha="center", va="center", fontsize=10, color=INK)


def _arrow(
    axis: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    text: str,
    shift: tuple[float, float] = (0.0, 0.2),
) -> None:
    axis.annotate("", end, start, arrowprops={"arrowstyle": "->", "color": INK, "lw": 1.4})
    middle = (start[0] + end[0]) / 2 + shift[0], (start[1] + end[1]) / 2 + shift[1]
    axis.text(*middle, text, ha="center", va="center", fontsize=9.5, color=INK)
