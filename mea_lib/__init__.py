"""MEA-Defender in a small package: embed a watermark, steal the model, recognise the copy.

Imports point one way: scale, data, models, losses → training → watermarks, blackbox → extraction → proof →
teaching.
"""

from mea_lib import extraction, models, watermarks
from mea_lib.blackbox import BudgetSpent, Oracle
from mea_lib.data import Data, ImageSet, WatermarkKey, load
from mea_lib.proof import verify_ownership
from mea_lib.scale import SCALES, Scale, preset
from mea_lib.training import train_clean

__version__ = "0.1.0"

__all__ = [
    "SCALES",
    "BudgetSpent",
    "Data",
    "ImageSet",
    "Oracle",
    "Scale",
    "WatermarkKey",
    "extraction",
    "load",
    "models",
    "preset",
    "train_clean",
    "verify_ownership",
    "watermarks",
]
