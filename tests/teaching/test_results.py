import pytest

from mea_lib.teaching import column, runs_with, so_far

RUNS = [
    {"method": "runner-up", "seed": 0, "wsr": 0.8},
    {"method": "runner-up", "seed": 1, "wsr": 0.9},
    {"method": "none", "seed": 0, "wsr": 0.1, "answers": "soft"},
]


def test_runs_with_these_values_keep_their_order():
    assert column(runs_with(RUNS, method="runner-up"), "wsr") == [0.8, 0.9]
    assert runs_with(RUNS, method="runner-up", seed=1) == [RUNS[1]]
    assert runs_with(RUNS) == RUNS


def test_a_run_that_lacks_a_name_does_not_have_its_value():
    assert runs_with(RUNS, answers="soft") == [RUNS[2]]
    assert runs_with(RUNS, answers=None) == []


def test_a_value_that_no_run_has_is_no_error_but_a_name_is():
    assert runs_with(RUNS, seed=7) == []
    with pytest.raises(KeyError, match="no run has 'sead'; the first one has: method, seed, wsr"):
        runs_with(RUNS, sead=0)


def test_of_no_runs_there_are_none_whatever_is_asked_for():
    assert runs_with([], method="runner-up") == []


def test_how_much_of_a_study_there_is():
    assert so_far({"runs": RUNS, "planned": 1_200}) == "3 of 1,200 planned rows; 2 seeds"
    assert so_far({"runs": [RUNS[0] | {"key": "a"}], "planned": 1}) == "all 1 rows; 1 key, 1 seed"
    assert so_far({"runs": [{"wsr": 0.5}] * 2}) == "all 2 rows"


@pytest.mark.parametrize("study", [None, {"runs": [], "planned": 12}])
def test_a_study_that_nobody_has_begun(study):
    assert so_far(study) == "no rows yet"
