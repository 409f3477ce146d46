"""Several runs in one cell of a table."""

from collections.abc import Mapping, Sequence

import numpy as np


def spread(values: Sequence[float]) -> str:
    """The mean of the runs, and where there are several the least and the largest: "0.883 (0.840–0.921)".

    Args:
        values: one a run; at least one.

    Raises:
        ValueError: where there is none.
    """
    if not len(values):
        raise ValueError("there is no run to show; leave the row out, or show a dash")
    mean = f"{np.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f}–{max(values):.3f})"


def mean_wfpr(rates: Mapping[str, float]) -> float:
    """The WFPR of a model as one number: the mean over the other arrangements (paper, Sec. V-A).

    Args:
        rates: by arrangement, as the rows of a study have them.
    """
    return float(np.mean(list(rates.values())))
