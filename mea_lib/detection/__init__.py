"""Whoever holds a model looks for a watermark in it: one detector a file, each a dataclass with the verb `detect`.

`NeuralCleanse` and `ABS` need the weights, `LocalOutlierFactor` the features, `STRIP`, `robustness_curve`,
`RandomMixing` and `KeySearch` no more than answers, `RunnerUps` those to clean images alone.
"""

from mea_lib.detection.abs import ABS
from mea_lib.detection.anomaly_index import anomaly_indices
from mea_lib.detection.base import Detector
from mea_lib.detection.key_search import KeySearch
from mea_lib.detection.neural_cleanse import NeuralCleanse
from mea_lib.detection.outliers import LocalOutlierFactor
from mea_lib.detection.preprocessing import TRANSFORMS, CurvePoint, RobustnessCurve, robustness_curve
from mea_lib.detection.random_mixing import RandomMixing
from mea_lib.detection.ranking import Ranking, SuspectedKey
from mea_lib.detection.reversed_triggers import ReversedTriggers
from mea_lib.detection.runner_ups import RunnerUps
from mea_lib.detection.screening import Screening
from mea_lib.detection.strip import STRIP

__all__ = [
    "ABS",
    "STRIP",
    "TRANSFORMS",
    "CurvePoint",
    "Detector",
    "KeySearch",
    "LocalOutlierFactor",
    "NeuralCleanse",
    "RandomMixing",
    "Ranking",
    "ReversedTriggers",
    "RobustnessCurve",
    "RunnerUps",
    "Screening",
    "SuspectedKey",
    "anomaly_indices",
    "robustness_curve",
]
