"""Attacks that copy a model through its API. May import scale, data, models, losses, training and blackbox."""

from mea_lib.extraction import (
    cont_steal,
    data_free,
    distillation,
    feature_distillation,
    foreign,
    jacobian,
    knockoff,
    stolen_encoder,
)

__all__ = [
    "cont_steal",
    "data_free",
    "distillation",
    "feature_distillation",
    "foreign",
    "jacobian",
    "knockoff",
    "stolen_encoder",
]
