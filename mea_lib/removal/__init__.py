"""Attacks on a watermark in a model whose weights are at hand, one method a file: each makes a new model."""

from mea_lib.removal.base import Removal
from mea_lib.removal.fine_pruning import FinePruning
from mea_lib.removal.finetune import FineTune
from mea_lib.removal.mixup_labels import MixUpLabels
from mea_lib.removal.prune import Prune
from mea_lib.removal.quantise import Quantise
from mea_lib.removal.redistil import Redistil
from mea_lib.removal.relabel_mixes import RelabelMixes
from mea_lib.removal.transfer import Transfer
from mea_lib.removal.unlearn import Unlearn
from mea_lib.removal.wrk import WRK

__all__ = [
    "WRK",
    "FinePruning",
    "FineTune",
    "MixUpLabels",
    "Prune",
    "Quantise",
    "Redistil",
    "RelabelMixes",
    "Removal",
    "Transfer",
    "Unlearn",
]
