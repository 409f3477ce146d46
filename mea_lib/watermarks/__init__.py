"""Watermarks, one method a file: each embeds a key while it trains, from scratch or into a trained model.

`MEADefender` has the paper's losses, `RunnerUp` is this book's; `Composite` and `Patch` are ordinary backdoors, which
die in extraction. Rivals made to survive it: `Entangled` and `MarginBased` before the paper, `DeepTracer` and
`ClassFeature` after it. For encoders `MEADefenderSSL` has the paper's losses, `MeetingPoint` this book's and `SSLGuard` the
paper's rival.
"""

from mea_lib.watermarks.base import Watermark
from mea_lib.watermarks.class_feature import ClassFeature
from mea_lib.watermarks.composite import Composite
from mea_lib.watermarks.deep_tracer import DeepTracer
from mea_lib.watermarks.entangled import Entangled
from mea_lib.watermarks.entangled_samples import EntangledKey
from mea_lib.watermarks.foreign_class import ForeignKey
from mea_lib.watermarks.margin_based import MarginBased, TriggerKey, TriggerSet
from mea_lib.watermarks.mea_defender import MEADefender
from mea_lib.watermarks.mea_defender_ssl import MEADefenderSSL
from mea_lib.watermarks.meeting_point import MeetingPoint
from mea_lib.watermarks.mosaic import MosaicKey
from mea_lib.watermarks.patch import Patch, PatchKey
from mea_lib.watermarks.runner_up import RunnerUp
from mea_lib.watermarks.sslguard import SSLGuard, VectorKey

__all__ = [
    "ClassFeature",
    "Composite",
    "DeepTracer",
    "Entangled",
    "EntangledKey",
    "ForeignKey",
    "MEADefender",
    "MEADefenderSSL",
    "MarginBased",
    "MeetingPoint",
    "MosaicKey",
    "Patch",
    "PatchKey",
    "RunnerUp",
    "SSLGuard",
    "TriggerKey",
    "TriggerSet",
    "VectorKey",
    "Watermark",
]
