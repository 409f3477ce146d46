"""One job of a grid: `python -m grid.job make|measure|check …`, as the rules of the Snakefile call it.

A job writes its file whole or not at all, and is safe to be killed and to run twice: models are kept in the store
(MEA_STORE), trainings under way in `checkpoints/` beside it.
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

import mea_lib as mea
from benchmarks.study import machine
from grid.making import make, stored
from grid.measuring import measure
from grid.methods import method_of
from grid.study import read_study, studies_named
from grid.task import data_of
from mea_lib.files import write_whole
from mea_lib.model_files import store_folders
from mea_lib.training import use_checkpoints

MEASURED = ("accuracy", "wsr", "wfpr", "other_pairs", "verdict", "on_sources")


def main() -> None:
    """Run the job that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("make", "measure", "check"))
    parser.add_argument("task", help="the job's task as JSON; of a check the names of studies")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file that is written")
    parser.add_argument("--parent", type=Path, help="the record of the model that is gone on from")
    parser.add_argument("--model", type=Path, help="the record of the model that is measured")
    parser.add_argument("--twin", type=Path, help="the record of the clean model that is compared with")
    parser.add_argument("--before", type=Path, help="the row of the model that this one was made from")
    options = parser.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    if options.what == "check":
        try:
            found: dict[str, Any] = check(options.task)
        except ValueError as error:
            parser.exit(1, f"{error}\n")
    else:
        task = json.loads(options.task)
        data = data_of(task)
        if options.what == "make":
            found = make_one(task, data, options.parent)
        else:
            found = measure_one(task, data, options.model, options.twin, options.before)
    write(options.out, found)


def check(names: str) -> dict[str, Any]:
    """Build every method of these studies, so that a wrong setting is found before the first training."""
    found = {}
    for name in studies_named(names):
        study = read_study(name)
        kinds = {"methods": study.methods, "attacks": study.attacks, "removals": study.removals}
        found[name] = {
            kind: {one: str(method_of(kind, given)) for one, given in methods.items()}
            for kind, methods in kinds.items()
        }
    return found


def make_one(task: dict[str, Any], data: mea.Data, parent: Path | None) -> dict[str, Any]:
    """The record of a model: its id in the store, what it took, and what its row is to say."""
    before = stored(_read(parent)["model"]) if parent else None
    with use_checkpoints(store_folders()[0] / "checkpoints"):
        model, said = make(task, data, before)
    seconds = model.card["seconds"]
    return {
        "model": model.card["id"],
        "weights_sha256": model.card["weights_sha256"],
        "seconds": seconds,
        **said,
    }


def measure_one(
    task: dict[str, Any], data: mea.Data, record: Path, twin: Path | None, before: Path | None
) -> dict[str, Any]:
    """A row: what was varied, what is measured, and the same of the clean twin and of what the model was made from.

    The latter are named by their stage: clean_wsr, victim_accuracy, surrogate_wsr. The twin is the verdict's null
    model, and of a victim it is measured too.
    """
    null_models = [stored(_read(twin)["model"])] if twin and not task["encoders"] else []
    own = _measured(record, task, data, null_models)
    row: dict[str, Any] = {"stage": task["stage"], **task["about"]}
    if before:
        older = _read(before)
        row |= {name: value for name, value in older.items() if name.partition("_")[0] in ("clean", "victim")}
        row |= {f"{older['stage']}_{name}": older[name] for name in (*MEASURED, "seconds")}
    elif twin:
        row |= {f"clean_{name}": value for name, value in _measured(twin, task, data).items()}
    return row | own | machine()


def _measured(
    record: Path, task: dict[str, Any], data: mea.Data, clean: Sequence[nn.Module] = ()
) -> dict[str, Any]:
    made = _read(record)
    return measure(stored(made.pop("model")), task, data, clean) | made


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def write(path: Path, content: dict[str, Any]) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
