"""The p-value over clean models: by hand, by simulation, and against what it replaces."""

import math

import numpy as np
import pytest
from scipy.stats import t

from mea_lib.proof import Rate
from mea_lib.proof.null_models import predictive_p_value, predictive_p_value_of_rate, rank_p_value


def test_the_next_of_some_normal_numbers_by_hand():
    expected = t.sf((3 - 1) / (1 * math.sqrt(1 + 1 / 3)), 2)
    assert predictive_p_value(3, [0, 1, 2]) == pytest.approx(expected)
    assert predictive_p_value(3, [0, 1, 2], least_spread=4) == pytest.approx(
        t.sf(2 / (4 * math.sqrt(4 / 3)), 2)
    )
    assert predictive_p_value(1, [0, 1, 2]) == pytest.approx(0.5)


def test_null_models_that_agree_by_accident_convict_nobody():
    alike = [Rate(30, 100)] * 2
    assert predictive_p_value_of_rate(Rate(36, 100), alike) > 0.1
    assert predictive_p_value(1.0, [1.0, 1.0]) == 1
    assert predictive_p_value_of_rate(Rate(0, 0), alike) == 1


def test_a_clean_model_is_convicted_no_oftener_than_alpha():
    """Clean models differ by more than the draw of their images, which a binomial test takes for all there is."""
    generator = np.random.default_rng(0)
    rates = generator.binomial(100, generator.normal(0.3, 0.08, (2_000, 6)).clip(0, 1))
    p_values = [
        predictive_p_value_of_rate(Rate(int(own), 100), [Rate(int(one), 100) for one in null])
        for own, *null in rates
    ]
    assert np.mean(np.array(p_values) < 0.05) < 0.06
    assert np.mean(np.array(p_values) < 0.01) < 0.014
    by_binomial = [Rate(int(own), 100).p_value(np.mean(null) / 100) for own, *null in rates[:500]]
    assert np.mean(np.array(by_binomial) < 0.05) > 0.15


def test_the_rank_counts_equals_against_the_owner():
    assert rank_p_value(0.5, [0.1, 0.2, 0.3]) == 1 / 4
    assert rank_p_value(0.3, [0.1, 0.2, 0.3]) == 2 / 4


def test_one_null_model_says_nothing():
    with pytest.raises(ValueError, match="at least 2 clean models, not 1"):
        predictive_p_value(1, [0])
    with pytest.raises(ValueError, match="at least 2 clean models, not 0"):
        predictive_p_value_of_rate(Rate(1, 2), [])
