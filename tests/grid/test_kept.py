"""Rows that an earlier run published are kept, and only those that still hold."""

import json

from grid.collecting import rows_so_far
from grid.kept import kept_rows, signed
from grid.plan import plan_of
from grid.study import read_study

STUDY = read_study("losses")
PLAN = plan_of(STUDY)
FIRST, SECOND, *_ = PLAN.rows


def row_of(model, wsr):
    return {"stage": model.stage, **model.about, "wsr": wsr}


def published(folder, *rows):
    path = folder / "losses.json"
    path.write_text(json.dumps({"runs": rows}))
    return path


def test_nothing_is_kept_where_nothing_was_published(tmp_path):
    assert kept_rows(PLAN, tmp_path / "losses.json") == {}


def test_a_row_is_kept_while_its_model_is_planned_and_its_code_is_the_present_one(tmp_path):
    row = signed(row_of(FIRST, 0.5), FIRST)
    unsigned, older = row_of(SECOND, 0.6), {**signed(row_of(SECOND, 0.7), SECOND), "code": "of last year"}
    foreign = {**row, "name": "s-of-another-study"}
    found = kept_rows(PLAN, published(tmp_path, row, unsigned, older, foreign))
    assert found == {(FIRST.stage, FIRST.name): row}


def test_a_part_of_a_study_adds_its_rows_to_those_there_are(tmp_path):
    path = published(tmp_path, signed(row_of(SECOND, 0.5), SECOND))
    made = tmp_path / "rows" / FIRST.stage / f"{FIRST.name}.json"
    made.parent.mkdir(parents=True)
    made.write_text(json.dumps(row_of(FIRST, 0.8)))
    only = f"method={FIRST.about['method']}; seed=0"
    rows = rows_so_far(STUDY, only, tmp_path / "rows", path)
    assert [(row["name"], row["wsr"]) for row in rows] == [(FIRST.name, 0.8), (SECOND.name, 0.5)]
    # The next part finds both.
    rows = rows_so_far(
        STUDY, f"method={SECOND.about['method']}; seed=0", tmp_path / "none", published(tmp_path, *rows)
    )
    assert [row["wsr"] for row in rows] == [0.8, 0.5]
