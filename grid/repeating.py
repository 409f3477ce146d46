"""What a tree of the code makes of a study: which code is behind each row, and some of its rows at smoke scale.

`grid.renew` runs this file twice, in the present tree and in an earlier one (PYTHONPATH), each with an empty store, so it uses
what both have. It prints JSON. A row's place is the name of its model in a study of the grid, its job in one that is a module.
"""

import json
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

SCALE = "smoke"


def main() -> None:
    """Print what was asked: `codes STUDY`, or `rows STUDY` with the places on standard input."""
    what, study = sys.argv[1:]
    reader = _of_grid if not (Path("benchmarks") / f"{study}.py").exists() else _of_module
    codes, rows = reader(study)
    found = codes() if what == "codes" else rows(json.load(sys.stdin))
    print("\n" + json.dumps(found))


Reader = tuple[Callable[[], dict[str, str]], Callable[[list[str]], list[dict[str, Any]]]]


def _of_grid(study: str) -> Reader:
    from benchmarks.study import LONGER_SMOKE
    from grid.code import code_of_row
    from grid.job import make_one, measure_one, write
    from grid.plan import plan_of
    from grid.study import read_study
    from grid.task import data_of

    planned = plan_of(read_study(study)).rows

    def codes() -> dict[str, str]:
        return {model.name: code_of_row(model) for model in planned}

    def rows(places: list[str]) -> list[dict[str, Any]]:
        # The plan at another scale has other names, and the same order.
        small = dict(
            zip((model.name for model in planned), plan_of(read_study(study, SCALE)).rows, strict=True)
        )
        folder, found = Path(os.environ["MEA_STORE"]) / "rows", []
        for place in places:
            for model in small[place].lineage():
                record, row = (folder / kind / model.stage / f"{model.name}.json" for kind in ("of", "row"))
                # Null models have to know the task, or there is no verdict to compare.
                task = dict(model.task) | {"changes": {**LONGER_SMOKE, **model.task["changes"]}}
                data = data_of(task)
                parent, twin = (
                    folder / "of" / other.stage / f"{other.name}.json" if other else None
                    for other in (model.parent, model.twin)
                )
                if not record.exists():
                    write(record, make_one(task, data, parent))
                if model.stage != "clean" and not row.exists():
                    is_made_from = parent and model.parent.stage != "clean"
                    before = folder / "row" / model.parent.stage / parent.name if is_made_from else None
                    write(row, measure_one(task, data, record, twin, before))
            found.append(json.loads(row.read_text(encoding="utf-8")))
        return found

    return codes, rows


def _of_module(study: str) -> Reader:
    import inspect

    import mea_lib as mea
    from benchmarks import study as shared

    given: dict[str, Any] = {}

    def kept(name: str, jobs: list, run_one: Callable, *_: Any, **options: Any) -> None:
        given.update(options, name=name, jobs=jobs, run_one=run_one)

    shared.run = kept
    runpy.run_module(f"benchmarks.{study}", run_name="__main__")
    jobs = {json.dumps(job): job for job in given["jobs"]}
    changes, smoke = given.get("changes") or {}, given.get("smoke") or {}
    dataset = given.get("dataset", "fashion-mnist")

    def codes() -> dict[str, str]:
        scale = shared.changed(mea.preset("laptop"), changes)
        folder = Path(shared.__file__).parent
        files = [Path(inspect.getfile(given["run_one"]))]
        files += [folder / f"{other}.py" for other in given.get("made_by", ())]
        identities = shared._identities(given["jobs"], files, scale, mea.load(dataset, scale))
        return dict(zip(jobs, identities, strict=True))

    def rows(places: list[str]) -> list[dict[str, Any]]:
        scale = shared.changed(mea.preset(SCALE), changes | smoke)
        data = mea.load(dataset, scale)
        return [given["run_one"](data, scale, *jobs[place]) for place in places]

    return codes, rows


if __name__ == "__main__":
    main()
