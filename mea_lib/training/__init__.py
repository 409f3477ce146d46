"""How models are made: the base of all methods, the loop, the weighting of losses, the store of finished models.

Augmentation and views are here too, and for encoders the probes that say what their features are worth.
"""

from mea_lib.training.balance import (
    Balance,
    FeatureBalance,
    FixedBalance,
    MGDABalance,
    Terms,
    TwoGroupBalance,
    gradient_cosines,
    least_norm_weights,
)
from mea_lib.training.checkpoint import Checkpoints, use_checkpoints
from mea_lib.training.clean import Clean, train_clean
from mea_lib.training.device import best_device, training_dtype
from mea_lib.training.features import features_of
from mea_lib.training.fit import Start, classifier_spec, encoder_spec, fit
from mea_lib.training.knn_probe import knn_accuracy, knn_votes
from mea_lib.training.linear_probe import LinearProbe, fit_linear_head, fit_linear_probe
from mea_lib.training.loop import Batch, History, Objective, train
from mea_lib.training.method import Method
from mea_lib.training.simclr import SimCLR, train_encoder
from mea_lib.training.store import Store, current_store, find_or_make, use_store
from mea_lib.training.views import GREY_28, RGB_32, ViewSettings, two_views
from mea_lib.training_settings import TrainingSettings

__all__ = [
    "GREY_28",
    "RGB_32",
    "Balance",
    "Batch",
    "Checkpoints",
    "Clean",
    "FeatureBalance",
    "FixedBalance",
    "History",
    "LinearProbe",
    "MGDABalance",
    "Method",
    "Objective",
    "SimCLR",
    "Start",
    "Store",
    "Terms",
    "TrainingSettings",
    "TwoGroupBalance",
    "ViewSettings",
    "best_device",
    "classifier_spec",
    "current_store",
    "encoder_spec",
    "features_of",
    "find_or_make",
    "fit",
    "fit_linear_head",
    "fit_linear_probe",
    "gradient_cosines",
    "knn_accuracy",
    "knn_votes",
    "least_norm_weights",
    "train",
    "train_clean",
    "train_encoder",
    "training_dtype",
    "two_views",
    "use_checkpoints",
    "use_store",
]
