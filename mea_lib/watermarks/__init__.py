"""Watermarks, one method a file: each embeds a key while it trains, from scratch or into a trained model.

`MEADefender` is the paper's, `RunnerUp` is this book's; `Composite` and `Patch` are ordinary backdoors, which
die in extraction, and `MarginBased` is a rival that has images with wrong labels for combined ones. For encoders
`MEADefenderSSL` is the paper's and `MeetingPoint` this book's.
"""

from mea_lib.watermarks.base import Watermark
from mea_lib.watermarks.composite import Composite
from mea_lib.watermarks.margin_based import MarginBased, TriggerKey, TriggerSet
from mea_lib.watermarks.mea_defender import MEADefender
from mea_lib.watermarks.mea_defender_ssl import MEADefenderSSL
from mea_lib.watermarks.meeting_point import MeetingPoint
from mea_lib.watermarks.patch import Patch, PatchKey
from mea_lib.watermarks.runner_up import RunnerUp

__all__ = [
    "Composite",
    "MEADefender",
    "MEADefenderSSL",
    "MarginBased",
    "MeetingPoint",
    "Patch",
    "PatchKey",
    "RunnerUp",
    "TriggerKey",
    "TriggerSet",
    "Watermark",
]
