import pytest

from mea_lib.teaching import mean_wfpr, spread


def test_several_runs_show_their_mean_and_both_ends():
    assert spread([0.8, 0.9, 0.85]) == "0.850 (0.800–0.900)"


def test_one_run_shows_itself():
    assert spread([0.8]) == "0.800"


def test_no_run_is_an_error_and_no_nan_in_a_table():
    with pytest.raises(ValueError, match="no run to show"):
        spread([])


def test_the_wfpr_is_the_mean_over_arrangements():
    assert mean_wfpr({"right-left": 0.4, "stripes": 0.2}) == pytest.approx(0.3)
