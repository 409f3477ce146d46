"""Watermarks, one method a file: each embeds a key while it trains, from scratch or into a trained model.

`mea_defender` is the paper's, `runner_up` is this book's; `composite` and `patch` are ordinary backdoors, which
die in extraction. For encoders `mea_defender_ssl` is the paper's and `meeting_point` this book's. May import scale,
data, models, losses and training.
"""

from mea_lib.watermarks import composite, mea_defender, mea_defender_ssl, meeting_point, patch, runner_up

__all__ = [
    "composite",
    "mea_defender",
    "mea_defender_ssl",
    "meeting_point",
    "patch",
    "runner_up",
]
