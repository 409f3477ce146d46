"""How models are made: settings, augmentation, the loop, the balance of several losses, the store of finished models.

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
from mea_lib.training.fit import clean_objective, fit, train_clean
from mea_lib.training.loop import Batch, History, Objective, train
from mea_lib.training.settings import (
    TrainingSettings,
    ablation_settings,
    owner_settings,
    thief_settings,
)
from mea_lib.training.store import Store, default_store

__all__ = [
    "Balance",
    "Batch",
    "FeatureBalance",
    "FixedBalance",
    "History",
    "MGDABalance",
    "Objective",
    "Store",
    "Terms",
    "TrainingSettings",
    "TwoGroupBalance",
    "ablation_settings",
    "best_device",
    "clean_objective",
    "default_store",
    "fit",
    "gradient_cosines",
    "least_norm_weights",
    "owner_settings",
    "thief_settings",
    "train",
    "train_clean",
    "training_dtype",
]
