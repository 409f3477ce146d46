"""How far a suspect's number stands outside those of clean models, which differ from one another too."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.stats import t

from mea_lib.proof.rates import Rate

FEWEST = 2


def predictive_p_value(value: float, null_values: Sequence[float], least_spread: float = 0.0) -> float:
    """p-value of so large a value, or a larger one, on one more clean model.

    A test over images would take these for all that varies. But the images are the same for every model: what varies is
    the model. n null models whose values have the mean m and the standard deviation s predict the next one by Student's
    t with n − 1 degrees of freedom: (value − m) / (s·√(1 + 1/n)).

    Args:
        value: of the suspect.
        null_values: of at least two clean models. Two say so little of their spread that p is seldom below 0.01.
        least_spread: s is at least this, since a few null models may agree by accident.

    Raises:
        ValueError: for fewer null models.
    """
    check_null_models(len(null_values))
    known = np.asarray(null_values, dtype=float)
    spread = max(float(known.std(ddof=1)), least_spread) * math.sqrt(1 + 1 / len(known))
    ahead = value - float(known.mean())
    if not spread:
        return 1.0 if ahead <= 0 else 0.0
    return float(t.sf(ahead / spread, len(known) - 1))


def predictive_p_value_of_rate(rate: Rate, null_models: Sequence[Rate]) -> float:
    """The same of a rate, by φ = asin √rate, whose spread hangs little on the rate.

    The least spread is what drawing as many images leaves, 1 / (2·√images).

    Args:
        rate: of the suspect.
        null_models: of at least two clean models, on the same images.

    Raises:
        ValueError: for fewer null models.
    """
    check_null_models(len(null_models))
    if not rate.trials:
        return 1.0
    known = [_angle(one) for one in null_models]
    return predictive_p_value(_angle(rate), known, 1 / (2 * math.sqrt(rate.trials)))


def rank_p_value(value: float, null_values: Sequence[float]) -> float:
    """The share of all models, the suspect among them, that reach its value: exact, whatever the distribution is.

    With n null models it is 1 / (n + 1) at the least.
    """
    return (1 + sum(one >= value for one in null_values)) / (1 + len(null_values))


def check_null_models(number: int) -> None:
    """Raise a ValueError for fewer clean models than a spread needs."""
    if number < FEWEST:
        raise ValueError(
            f"pass at least {FEWEST} clean models, not {number}: one alone does not say how much clean models differ"
        )


def _angle(rate: Rate) -> float:
    return math.asin(math.sqrt(rate.value))
