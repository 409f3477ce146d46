"""The workflow: it plans every study, and goes on after a kill without doing anything twice.

Its jobs are played by a script that needs no torch; what they really do is in test_job.py.
"""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from grid.plan import plan_of
from grid.study import read_study, studies_named

ROOT = Path(__file__).parents[2]
SNAKEMAKE = Path(os.environ.get("GRID_ENV", ROOT / ".venv-grid"))
ONLY = "seed=0; key=shirt and trouser; attack=distillation; augment=false; times=1; temperature=1"

pytestmark = pytest.mark.skipif(
    not (SNAKEMAKE / "bin" / "snakemake").exists(),
    reason=f"Snakemake is not in {SNAKEMAKE}; `make .venv-grid/.ready` installs it",
)

ACTOR = """#!{python}
import json, os, sys, time
words = sys.argv[1:]
out = words[words.index("--out") + 1]
if "{stuck}" not in out or os.path.exists({free!r}):
    os.makedirs(os.path.dirname(out), exist_ok=True)
    open({log!r}, "a").write(out + "\\n")
    time.sleep(0.5)  # a job is not finished when it has said so, nor known to be
    open(out, "w").write(json.dumps({{"out": out}}))
else:
    time.sleep(600)
"""


@pytest.fixture
def grid(tmp_path):
    """Starts `make study` of a small part of table 1; jobs whose file's name has "runner-up" hang until `free` is there."""
    actor, log = tmp_path / "a python", tmp_path / "log"  # a path may have spaces
    text = ACTOR.format(python=sys.executable, log=str(log), free=str(tmp_path / "free"), stuck="runner-up")
    actor.write_text(text)
    actor.chmod(0o755)
    (tmp_path / "my work").mkdir()
    environment = os.environ | {
        "GRID_ENV": str(SNAKEMAKE),
        "JOB_PYTHON": str(actor),
        "MEA_STORE": str(tmp_path / "my store"),
        "ONLY": ONLY,
        "WORK": str(tmp_path / "my work"),
        "SCALE": "smoke",
    }
    started = []

    def start(*options, study="table1_fashion_mnist", **variables):
        command = ["bash", str(ROOT / "grid" / "run.sh"), study, "--cores", "2", *options]
        with open(tmp_path / "said", "w") as said:
            process = subprocess.Popen(
                command, env=environment | variables, stdout=said, stderr=said, start_new_session=True
            )
        started.append(process)
        return process

    start.folder = tmp_path
    start.said = lambda: (tmp_path / "said").read_text()
    start.log = lambda: Counter(log.read_text().split("\n")[:-1]) if log.exists() else Counter()
    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(condition, seconds=300):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.2)


def test_a_killed_study_goes_on_and_does_nothing_twice(grid):
    plan = plan_of(read_study("table1_fashion_mnist", "smoke"), ONLY)
    owns = [model for model in plan.models.values() if model.about.get("method") != "runner-up"]
    first = grid()
    # Models and rows of the other method, a row for each model but the clean one: finished, and Snakemake knows it.
    wait_for(lambda: f"{2 * len(owns) - 1} of" in grid.said())
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    assert not list((grid.folder / "my work" / "results").glob("*"))
    (grid.folder / "free").touch()
    assert grid().wait(timeout=300) == 0, grid.said()
    done = {path: number for path, number in grid.log().items() if not path.endswith("checked.json")}
    assert set(done.values()) == {1}
    assert len(done) == 2 * len(plan.models) - 1 + 1  # and the results
    assert grid("--dry-run").wait(timeout=120) == 0
    assert "Nothing to be done" in grid.said()


def test_a_second_one_in_the_same_folder_is_refused(grid):
    first = grid()
    wait_for(lambda: grid.log())
    assert grid().wait(timeout=60) == 1
    assert "is running in" in grid.said()
    os.killpg(first.pid, signal.SIGKILL)


def test_the_whole_plan_of_the_paper_is_printed(grid):
    assert grid("--dry-run", study="paper", ONLY="", SCALE="").wait(timeout=300) == 0, grid.said()
    models = {place for name in studies_named("paper") for place in plan_of(read_study(name)).models}
    words = grid.said().split()
    found = {
        stage: int(words[words.index(stage) + 1]) for stage in ("clean", "victim", "surrogate", "removal")
    }
    assert found == Counter(stage for stage, _ in models)


def test_an_unknown_study_is_refused_before_anything_runs(grid):
    assert grid("--dry-run", study="table_9").wait(timeout=120) != 0
    assert "there is no study 'table_9'" in grid.said()


MODULE = """#!{python}
import sys
words = sys.argv[1:]
with open({log!r}, "a") as log:
    print(*words, file=log)
if "--list" in words:
    print("one", "other", sep="\\n")
"""


def test_a_study_that_is_a_module_has_its_missing_rows_made_each_once_and_then_writes(grid):
    actor, log = grid.folder / "module", grid.folder / "calls"
    actor.write_text(MODULE.format(python=sys.executable, log=str(log)))
    actor.chmod(0o755)
    only = "seed=0; method=runner-up"
    process = grid(study="removal_study", JOB_PYTHON=str(actor), ONLY=only)
    assert process.wait(timeout=300) == 0, grid.said()
    said = "-m benchmarks.removal_study"
    results = grid.folder / "my work" / "results"
    first, *rows, last = log.read_text().splitlines()
    assert first == f"{said} --list --scale smoke --only {only} --out {results}"
    assert sorted(rows) == [f"{said} --scale smoke --row {name}" for name in ("one", "other")]
    assert last == f"{said} --scale smoke --only={only} --out {results}"
    # Rows that are finished are not made again, and results are written by whoever asks for them.
    assert grid(study="removal_study", JOB_PYTHON=str(actor), ONLY=only).wait(timeout=300) == 0, grid.said()
    assert log.read_text().splitlines()[4:] == [first, last]
