"""A detector's threshold, set by what it may cost: the share of normal images that it flags."""

import numpy as np
from numpy.typing import ArrayLike


def threshold_at(scores: ArrayLike, false_positives: float) -> float:
    """The largest of these scores that has no more than a share of them below it.

    It is one of the scores themselves, so nothing is assumed of their distribution.

    Args:
        scores: (N,) of normal images that the detector has not seen; less is odder.
        false_positives: the share of them that may be flagged, at least 0 and below 1.

    Raises:
        ValueError: for no score, or another share.
    """
    if not 0 <= false_positives < 1:
        raise ValueError(f"false_positives must be at least 0 and below 1, not {false_positives}")
    ordered = np.sort(np.asarray(scores, dtype=float))
    if not len(ordered):
        raise ValueError("there is no score to set a threshold on; pass more normal images")
    return float(ordered[int(false_positives * len(ordered))])
