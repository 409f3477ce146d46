"""Extraction of a model through its API. May import scale, data, models, losses, training and blackbox."""

from mea_lib.extraction import (
    clean_answers,
    cont_steal,
    data_free,
    distillation,
    feature_distillation,
    foreign,
    jacobian,
    knockoff,
    mixed_distillation,
    stolen_encoder,
)

__all__ = [
    "clean_answers",
    "cont_steal",
    "data_free",
    "distillation",
    "feature_distillation",
    "foreign",
    "jacobian",
    "knockoff",
    "mixed_distillation",
    "stolen_encoder",
]
