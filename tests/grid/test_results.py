"""Committed results of the grid's studies: whole, consistent with themselves, and of the present settings."""

import json
from pathlib import Path

import pytest

from grid.collecting import settings, summary, table
from grid.plan import plan_of
from grid.study import read_study, studies

RESULTS = Path(__file__).parents[2] / "results"
FINISHED = [name for name in studies() if (RESULTS / f"{name}.json").exists()]


@pytest.mark.parametrize("name", FINISHED)
def test_a_study_has_rows_of_its_plan_in_order_and_is_of_the_present_settings(name):
    study = read_study(name)
    found = json.loads((RESULTS / f"{name}.json").read_text())
    names = [row["name"] for row in found["runs"]]
    rows = [model for model in plan_of(study).rows if model.name in names]
    assert [
        {axis: row[axis] for axis in planned.about} for planned, row in zip(rows, found["runs"], strict=True)
    ] == [dict(planned.about) for planned in rows]
    assert found["planned"] == len(plan_of(study).rows)
    assert found["settings"] == settings(study)
    assert found["summary"] == [pytest.approx(line) for line in summary(found["runs"])]
    assert (RESULTS / f"{name}.md").read_text() == table(study, found)
