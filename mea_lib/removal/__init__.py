"""Attacks that remove a watermark from a model whose weights are at hand, one method a file: each returns a
new model and leaves the given one as it was.

May import scale, data, models, losses, training, watermarks, blackbox and extraction.
"""

from mea_lib.removal import (
    fine_pruning,
    finetune,
    honest_mixes,
    prune,
    quantise,
    redistil,
    relabel_mixes,
    transfer,
    unlearn,
    wrk,
)

__all__ = [
    "fine_pruning",
    "finetune",
    "honest_mixes",
    "prune",
    "quantise",
    "redistil",
    "relabel_mixes",
    "transfer",
    "unlearn",
    "wrk",
]
