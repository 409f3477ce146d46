"""How far each of some numbers lies from the others, in a measure that an outlier does not stretch."""

import numpy as np
from numpy.typing import ArrayLike

NORMAL_CONSISTENCY = 1.4826  # times the median deviation estimates a normal distribution's standard deviation
# As Neural Cleanse has it: 5 % of normal numbers lie beyond it; the largest of ten does more often.
THRESHOLD = 2.0


def anomaly_indices(values: ArrayLike) -> np.ndarray:
    """|x − median| / (1.4826 · median absolute deviation) of each number.

    Where more than half of the numbers are equal the deviation is 0; then the others' index is infinite.

    Args:
        values: (N,) numbers.

    Returns:
        (N,) indices of at least 0.

    Source: Hampel (1974), as Neural Cleanse (Wang et al., S&P 2019) uses it; `THRESHOLD` is theirs.
    """
    values = np.asarray(values, dtype=float)
    if not len(values):
        return values
    distances = np.abs(values - np.median(values))
    scale = NORMAL_CONSISTENCY * np.median(distances)
    if scale == 0:
        return np.where(distances > 0, np.inf, 0.0)
    return distances / scale
