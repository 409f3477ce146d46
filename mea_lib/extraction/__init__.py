"""Extraction of a model through its API, one attack a file: each queries, and ends in a surrogate.

`Distillation`, `Jacobian`, `Knockoff` and `DataFree` steal classifiers, `CleanAnswers`, `GuidedExtraction` and
`MixedDistillation` are adversaries who know of watermarks; `FeatureDistillation`, `StolenEncoder` and `ContSteal` steal
encoders.
"""

from mea_lib.extraction.base import Extraction
from mea_lib.extraction.clean_answers import CleanAnswers
from mea_lib.extraction.cont_steal import ContSteal
from mea_lib.extraction.data_free import DataFree
from mea_lib.extraction.distillation import Distillation
from mea_lib.extraction.feature_distillation import FeatureDistillation
from mea_lib.extraction.guided import GuidedExtraction
from mea_lib.extraction.jacobian import Jacobian
from mea_lib.extraction.knockoff import Knockoff
from mea_lib.extraction.mixed_distillation import MixedDistillation
from mea_lib.extraction.stolen_encoder import StolenEncoder

__all__ = [
    "CleanAnswers",
    "ContSteal",
    "DataFree",
    "Distillation",
    "Extraction",
    "FeatureDistillation",
    "GuidedExtraction",
    "Jacobian",
    "Knockoff",
    "MixedDistillation",
    "StolenEncoder",
]
