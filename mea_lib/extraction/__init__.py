"""Attacks that copy a model through its API. May import scale, data, models, losses, training and blackbox."""

from mea_lib.extraction import distillation, foreign, jacobian, knockoff

__all__ = ["distillation", "foreign", "jacobian", "knockoff"]
