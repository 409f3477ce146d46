"""Watermarks, one method a file: each embeds a key's mark while it trains, from scratch or into a trained model.

`mea_defender` is the paper's, `runner_up` is this book's; `composite` and `patch` are ordinary backdoors, which
die in extraction. May import scale, data, models, losses and training.
"""

from mea_lib.watermarks import composite, mea_defender, patch, runner_up

__all__ = ["composite", "mea_defender", "patch", "runner_up"]
