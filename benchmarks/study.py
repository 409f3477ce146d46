"""What every study shares: jobs that can be split over processes and taken up again, and how results are written.

A job is one row of the results. Rows that are finished are kept under build/, and their models in the store, so a
study that was interrupted goes on where it stopped, unless code that takes part in it was edited in between.
`make study` runs every row as a job of the grid (grid/module.smk), and then the module, which writes the results. By
hand: `--part 0/2` and `--part 1/2` at once, and then once without.
"""

import argparse
import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

import mea_lib as mea
from mea_lib.files import write_whole
from mea_lib.shaping_code import study_code_digest
from mea_lib.training import best_device, training_dtype

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
SEEDS = (0, 1, 2)
# What most studies say of a surrogate, its victim and the victim's clean twin.
MEASURES = (
    "clean_accuracy",
    "victim_accuracy",
    "victim_wsr",
    "victim_wfpr",
    "accuracy",
    "wsr",
    "wfpr",
)
# The training of a scale that each of these names the epochs of.
EPOCHS_OF = {
    "epochs": "owner",
    "extract_epochs": "adversary",
    "encoder_epochs": "encoder",
    "marking_epochs": "marking",
}
# The paper's, for the studies that have one key only.
KEY = mea.WatermarkKey(("T-shirt/top", "Trouser"), "Pullover", "crop-paste", seed=7)


def run(
    name: str,
    jobs: Sequence[tuple],
    run_one: Callable[..., dict],
    summary: Callable[[list[dict]], dict | list[dict]],
    settings: dict,
    *,
    dataset: str = "fashion-mnist",
    changes: dict | None = None,
    made_by: Sequence[str] = (),
) -> None:
    """Run the jobs of a study and write `results/<name>.json`, if this process does all of them.

    Args:
        name: of the study and of its module.
        jobs: what `run_one` is called with, after data and scale.
        run_one: returns one row, with the `seconds` its trainings took.
        summary: figures drawn from all rows.
        settings: what was studied, for the reader and for the test that results are of the present code.
        dataset: one that `mea.load` knows.
        changes: what this study has otherwise in the scale, see `changed`; it belongs into its settings too.
        made_by: further studies whose code makes these rows.
    """
    parser = argparse.ArgumentParser(description=f"the study {name}, see its module")
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--part", default="0/1", help="which share of the jobs, as 0/2")
    parser.add_argument("--count", action="store_true", help="print the number of jobs, and do none")
    options = parser.parse_args()
    if options.count:
        print(len(jobs))
        return
    torch.set_num_threads(1)
    part, parts = map(int, options.part.split("/"))
    scale = changed(mea.preset(options.scale), changes or {})
    data = mea.load(dataset, scale)
    started, rows = time.perf_counter(), []
    for number, job in enumerate(jobs):
        if number % parts == part:
            rows.append(_row((name, *made_by), run_one, data, scale, job))
            print(json.dumps(rows[-1], ensure_ascii=False), flush=True)
    print(f"{len(rows)} of {len(jobs)} jobs in {time.perf_counter() - started:.0f} s")
    # Only a whole study takes the place of the last one.
    if parts > 1:
        return
    whole = whole_study(
        rows,
        scale=scale.name,
        data=dataset,
        command=f"make study STUDY={name}",
        settings=settings,
        summary=summary(rows),
    )
    _write(RESULTS / f"{name}.json", whole)


def whole_study(
    rows: list[dict],
    *,
    scale: str,
    data: str,
    command: str,
    settings: dict,
    summary: dict | list[dict],
) -> dict:
    """A finished study, in the form that all results have.

    Args:
        rows: with `seconds` and what `machine` says.
        scale, data: by their names.
        command: that makes the study.
        settings: what was studied.
        summary: figures drawn from all rows.
    """
    return {
        "scale": scale,
        "data": data,
        "hardware": _every(rows, "hardware"),
        "precision": _every(rows, "precision"),
        "versions": {name: _every(rows, name) for name in ("torch", "python")},
        "command": command,
        "settings": settings,
        "seconds": round(sum(row["seconds"] for row in rows)),
        "summary": summary,
        "runs": rows,
    }


def changed(scale: mea.Scale, changes: dict) -> mea.Scale:
    """The scale with these changes, by the names that results have for them.

    Args:
        changes: fields of the scale; epochs by the names in `EPOCHS_OF`; `batch_size` of all four trainings.
    """
    shared = {name: changes[name] for name in ("batch_size",) if name in changes}
    fields = {name: value for name, value in changes.items() if name not in (*EPOCHS_OF, *shared)}
    for name, party in EPOCHS_OF.items():
        training = getattr(scale, party)
        fields[party] = training.but(epochs=changes.get(name, training.epochs), **shared)
    return scale.but(**fields)


def by_group(rows: list[dict], names: tuple[str, ...], *more: str) -> list[dict]:
    """One line for each combination of these values: seeds, mean and least WSR, and mean accuracies.

    Args:
        rows: with wsr, accuracy and victim_accuracy.
        names: what the rows are grouped by.
        more: further numbers whose mean is wanted.
    """
    lines = []
    for group in dict.fromkeys(tuple(row[name] for name in names) for row in rows):
        members = [row for row in rows if tuple(row[name] for name in names) == group]
        line = dict(zip(names, group, strict=True)) | {"seeds": len(members)}
        line |= {f"mean_{name}": _mean(members, name) for name in ("wsr", "accuracy", *more)}
        line["least_wsr"] = min(row["wsr"] for row in members)
        line["mean_accuracy_lost"] = _mean(members, "victim_accuracy") - line["mean_accuracy"]
        lines.append(line)
    return lines


def means(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, float]:
    """The mean of each of these numbers, as "mean_wsr"; of rates by arrangement that of their means.

    A row in which a number is missing, or None, takes no part in its mean; one that no row has is left out.
    """
    numbers = {
        name: [number for row in rows if (number := _number(row.get(name))) is not None] for name in names
    }
    return {f"mean_{name}": float(np.mean(given)) for name, given in numbers.items() if given}


def _number(value: float | Mapping[str, float | None] | None) -> float | None:
    if not isinstance(value, Mapping):
        return value
    rates = [rate for rate in value.values() if rate is not None]
    return float(np.mean(rates)) if rates else None


def other_clean_models(data: mea.Data, scale: mea.Scale, seed: int) -> list[mea.Oracle]:
    """The clean models that the owner of this seed has: those of the other seeds."""
    return [mea.Oracle(mea.train_clean(data.owner, scale, seed=other)) for other in SEEDS if other != seed]


def _every(rows: list[dict], name: str) -> str:
    """What the rows have under this name, each once."""
    return " / ".join(dict.fromkeys(row[name] for row in rows))


def _mean(rows: list[dict], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _row(
    studies: tuple[str, ...], run_one: Callable[..., dict], data: mea.Data, scale: mea.Scale, job: tuple
) -> dict:
    """The row of this job, kept from an earlier run of the same code or made now.

    Args:
        studies: the study's own name, then those whose code makes its rows.
        run_one, data, scale, job: as in `run`.
    """
    folder = Path(__file__).parent
    code = study_code_digest(folder / f"{study}.py" for study in (Path(__file__).stem, *studies))
    images = [part.digest() for part in (data.owner, data.adversary, data.test)]
    identity = hashlib.sha256(json.dumps([code, asdict(scale), images, job]).encode()).hexdigest()
    path = ROOT / "build" / "studies" / studies[0] / f"{identity[:16]}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            _write(path, run_one(data, scale, *job) | machine())
    return json.loads(path.read_text())


def machine() -> dict[str, str]:
    """What trains here, in which precision and versions; the rows of a study may be of several machines."""
    device = best_device()
    hardware = f"{os.cpu_count()} CPU cores, one thread a training"
    if device.type == "cuda":
        hardware = f"{torch.cuda.get_device_name(device)}, {hardware}"
    return {
        "hardware": hardware,
        "precision": str(training_dtype(device)),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _write(path: Path, content: dict) -> None:
    """Write JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
