"""Whoever holds a model looks for a watermark in it: one detector a file, each with a function `detect`.

`neural_cleanse` and `abs` need the weights, `outliers` the features, `strip`, `preprocessing`, `random_mixing` and
`key_search` no more than answers, `runner_ups` those to clean images alone. May import scale, data, models, losses, training, watermarks and blackbox.
"""

from mea_lib.detection import (
    abs,
    key_search,
    neural_cleanse,
    outliers,
    preprocessing,
    random_mixing,
    runner_ups,
    strip,
)
from mea_lib.detection.anomaly_index import anomaly_indices
from mea_lib.detection.screening import Screening

__all__ = [
    "Screening",
    "abs",
    "anomaly_indices",
    "key_search",
    "neural_cleanse",
    "outliers",
    "preprocessing",
    "random_mixing",
    "runner_ups",
    "strip",
]
