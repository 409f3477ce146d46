"""A grid's jobs: records, rows, results and table of a small study, and trainings that start."""

import json
import sys

import pytest

import mea_lib as mea
from benchmarks import study as benchmark_study
from grid import job
from grid.code import code_of_making
from grid.collecting import collected, table
from grid.methods import method_of
from grid.plan import plan_of
from grid.study import studies, study_of
from grid.try_out import trainings_of, try_out
from tests.grid.test_plan import SMALL

TINY = SMALL | {
    "seeds": [0],
    "changes": {"width": 2, "train_images": 300, "query_images": 300, "batch_size": 64},
    "removals": {"pruning": {"is": "Prune", "share": 0.5}},
    "grids": [
        {"victim": {"method": "one", "key": "all"}, "surrogate": {"attack": "all", "part": [1, 3]}},
        {"victim": {"method": "one", "key": "all"}, "removal": {"removal": "all"}},
    ],
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a job as the Snakefile does, in a store of its own; returns what it wrote."""
    monkeypatch.setenv("MEA_STORE", str(tmp_path / "store"))

    def run(what, task, out, **options):
        words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        task = task if isinstance(task, str) else json.dumps(task)
        monkeypatch.setattr(sys, "argv", ["job", what, task, "--out", str(tmp_path / out), *words])
        job.main()
        return json.loads((tmp_path / out).read_text())

    return run


def test_a_study_goes_from_models_to_rows_to_results(run, tmp_path):
    study = study_of("t", TINY)
    plan = plan_of(study)
    records = {}
    for place, model in plan.models.items():
        parent = (
            {"parent": tmp_path / "-".join((model.parent.stage, model.parent.name))} if model.parent else {}
        )
        records[place] = run("make", model.task, "-".join(place), **parent)
        assert records[place]["seconds"] >= 0
    again = run("make", plan.rows[0].task, "again", parent=tmp_path / f"victim-{plan.rows[0].parent.name}")
    assert again == records["surrogate", plan.rows[0].name]  # found, and not trained again
    full, third = (records[row.stage, row.name] for row in plan.rows[:2])
    assert (full["queries"], third["queries"]) == (300, 100)

    (victim,) = plan.of_stage("victim")
    before = run(
        "measure",
        victim.task,
        "victim-row",
        model=tmp_path / f"victim-{victim.name}",
        twin=tmp_path / f"clean-{victim.twin.name}",
    )
    assert {"wsr", "clean_wsr", "verdict", "clean_seconds", "torch", "hardware"} <= set(before)
    rows = [
        run(
            "measure",
            row.task,
            row.name,
            model=tmp_path / f"{row.stage}-{row.name}",
            before=tmp_path / "victim-row",
        )
        for row in plan.rows
    ]
    for row in rows:
        assert row["victim_wsr"] == before["wsr"]
        assert row["clean_accuracy"] == before["clean_accuracy"]
    whole = collected(study, rows)
    form = benchmark_study.whole_study(rows, scale="", data="", command="", settings={}, summary=[])
    assert list(whole) == ["planned", *form]
    assert whole["runs"] == rows
    assert whole["settings"]["as_built"]["methods"]["one"]["is"] == "MEADefender"
    assert sum(line["models"] for line in whole["summary"]) == len(rows)
    lines = table(study, whole).splitlines()
    assert len([line for line in lines if line.startswith("|")]) == 2 + len(whole["summary"])


def test_a_job_that_fails_leaves_no_file_and_says_what_is_missing(run, tmp_path):
    row = plan_of(study_of("t", TINY)).rows[0]
    (tmp_path / "lost").write_text(json.dumps({"model": "0123456789abcdef"}))
    with pytest.raises(FileNotFoundError, match=r"is no longer in .*; remove this study's folder"):
        run("measure", row.task, "row", model=tmp_path / "lost", before=tmp_path / "lost")
    assert {path.name for path in tmp_path.iterdir()} <= {"lost", "store"}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"is": "MEADefendor"},
            "there is no 'MEADefendor' among the package's methods; there are: .*MEADefender",
        ),
        ({"is": "MEADefender", "combinaton": False}, "has no setting 'combinaton'; it has: balance, utility"),
        ({"is": "MEADefender", "balance": {"is": "MGDABalance"}, "weights": {"evasion": 0}}, "leave one out"),
    ],
)
def test_a_setting_that_there_is_not_is_named(given, said):
    with pytest.raises(ValueError, match=said):
        method_of("methods", given)


def test_weights_change_some_of_a_methods_own():
    usual, changed = (
        method_of("methods", {"is": "RunnerUp"}),
        method_of("methods", {"is": "RunnerUp", "weights": {"evasion": 0.0}}),
    )
    assert changed.balance.weights == {**usual.balance.weights, "evasion": 0.0}


def test_every_method_of_every_study_can_be_built():
    assert set(job.check(",".join(studies()))) == set(studies())


def test_a_jobs_code_is_that_of_its_own_method():
    one, two = (
        plan_of(study_of("t", SMALL), f"method={name}").of_stage("victim")[0] for name in ("one", "two")
    )
    assert code_of_making(one) != code_of_making(two)
    assert code_of_making(one) == code_of_making(one.parent or one)


PAPERS = trainings_of("paper")
# One of each kind; `python -m grid.try_out paper` tries all, at their full width.
TRIED = [
    next(name for name in PAPERS if all(word in name for word in words))
    for words in (
        ("clean", "youtube-face"),
        ("victim", "cifar-100", "MEADefender"),
        ("victim", "autoencoder", "MEADefender"),
        ("victim", "TwoGroupBalance"),
        ("victim", "resnet18 encoder", "MEADefenderSSL"),
        ("surrogate", "resnet18 alexnet"),
        ("surrogate", "Jacobian"),
        ("surrogate", "adaptive"),
        ("removal", "FineTune"),
    )
]


@pytest.mark.parametrize("name", TRIED)
def test_a_training_of_the_papers_size_starts_and_writes_a_checkpoint(name, tmp_path):
    """At another width, and on random images: what is tried is that it runs."""
    with mea.use_store(tmp_path):
        assert try_out(PAPERS[name], width=2)["checkpoint"]
