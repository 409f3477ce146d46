"""From which WSR on a suspect counts as extracted: calibrated on null models."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

PAPER_THRESHOLD = 0.30


@dataclass(frozen=True)
class Threshold:
    """What null models say about a threshold.

    Attributes:
        models: how many models were measured.
        rates: how many rates on all of them.
        largest: the largest one; the paper's rule wants the threshold above it (App. A).
        normal: the 95 % point of a normal distribution fitted to each model's largest rate, the rule of the
            Watermark Robustness Toolbox (Lukas et al. 2022).
        exceeded: share of all rates above the paper's 30 %.
        chosen: what both rules ask for, at most 1; at 1 no rate is a proof.
    """

    models: int
    rates: int
    largest: float
    normal: float
    exceeded: float
    chosen: float


def calibrate_threshold(rates: Sequence[Sequence[float]], level: float = 0.05) -> Threshold:
    """Describe the false watermarks on null models.

    Args:
        rates: for each model, the rates of false watermarks on it.
        level: of the normal rule.

    Raises:
        ValueError: for fewer than two models, a model without rates, or a rate that is none.
    """
    if len(rates) < 2:
        raise ValueError(f"a threshold needs the rates of at least two models, not {len(rates)}")
    pooled = np.concatenate([np.asarray(of_model, dtype=float) for of_model in rates])
    if not all(len(of_model) for of_model in rates) or not ((pooled >= 0) & (pooled <= 1)).all():
        raise ValueError("each model needs at least one rate, and every rate must lie between 0 and 1")
    largest = np.array([np.max(of_model) for of_model in rates])
    deviation = largest.std(ddof=1)
    normal = float(norm.ppf(1 - level, largest.mean(), deviation)) if deviation else float(largest[0])
    return Threshold(
        models=len(rates),
        rates=len(pooled),
        largest=float(largest.max()),
        normal=normal,
        exceeded=float((pooled > PAPER_THRESHOLD).mean()),
        chosen=min(1.0, max(float(largest.max()), normal)),
    )
