"""Attacks that copy a model through its API. May import scale, data, models, losses, training and blackbox."""

from mea_lib.extraction import data_free, distillation, foreign, jacobian, knockoff

__all__ = ["data_free", "distillation", "foreign", "jacobian", "knockoff"]
