"""How models are made: settings, augmentation, views, the loop, the weighting of several losses, the store of
finished models; for encoders also the probes that say what their features are worth.

May import scale, data, models and losses.
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
from mea_lib.training.device import best_device, training_dtype
from mea_lib.training.features import features_of
from mea_lib.training.fit import clean_objective, fit, train_clean
from mea_lib.training.fit_encoder import fit_encoder
from mea_lib.training.knn_probe import knn_accuracy, knn_votes
from mea_lib.training.linear_probe import LinearProbe, fit_linear_head, fit_linear_probe
from mea_lib.training.loop import Batch, History, Objective, train
from mea_lib.training.settings import (
    TrainingSettings,
    ablation_settings,
    adversary_settings,
    owner_settings,
)
from mea_lib.training.simclr import SimCLRSettings, encoder_training, simclr_objective, train_encoder
from mea_lib.training.store import Store, default_store
from mea_lib.training.views import GREY_28, RGB_32, ViewSettings, two_views

__all__ = [
    "GREY_28",
    "RGB_32",
    "Balance",
    "Batch",
    "FeatureBalance",
    "FixedBalance",
    "History",
    "LinearProbe",
    "MGDABalance",
    "Objective",
    "SimCLRSettings",
    "Store",
    "Terms",
    "TrainingSettings",
    "TwoGroupBalance",
    "ViewSettings",
    "ablation_settings",
    "adversary_settings",
    "best_device",
    "clean_objective",
    "default_store",
    "encoder_training",
    "features_of",
    "fit",
    "fit_encoder",
    "fit_linear_head",
    "fit_linear_probe",
    "gradient_cosines",
    "knn_accuracy",
    "knn_votes",
    "least_norm_weights",
    "owner_settings",
    "simclr_objective",
    "train",
    "train_clean",
    "train_encoder",
    "training_dtype",
    "two_views",
]
