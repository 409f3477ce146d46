"""What every study shares: rows that are made once, in parts and by several processes, and how results are written.

A job is one row of the results. Rows that are finished are kept under build/, and their models in the store, so a
study that was interrupted goes on where it stopped. Rows that results/ has are kept too, whichever machine they come
from. Both hold as long as the code that makes them, and the data, are the same. `make study` runs every row as a job of
the grid (grid/module.smk), and then the module, which writes the results. By hand: `--part 0/2` and `--part 1/2` at
once, and then once without; `--only 'seed=0; method=runner-up'` for a part of the study, to which others add.
"""

import argparse
import hashlib
import inspect
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
from grid.only import in_part
from grid.study import BadStudy
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
# What the smoke scale has otherwise in studies whose null models have to know the task.
LONGER_SMOKE = {"epochs": 10, "extract_epochs": 6, "batch_size": 32}
# The paper's, for the studies that have one key only.
KEY = mea.WatermarkKey(("T-shirt/top", "Trouser"), "Pullover", "crop-paste", seed=7)


def run(
    name: str,
    jobs: Sequence[tuple],
    run_one: Callable[..., dict],
    summary: Callable[[list[dict]], dict | list[dict]],
    settings: dict,
    *,
    axes: Sequence[str] = (),
    dataset: str = "fashion-mnist",
    changes: dict | None = None,
    smoke: dict | None = None,
    made_by: Sequence[str] = (),
) -> None:
    """Make the rows of a study, or some of them, and write `results/<name>.json` with all that there are.

    Args:
        name: of the study and of its module.
        jobs: what `run_one` is called with, after data and scale.
        run_one: returns one row, with the `seconds` its trainings took. The code that a row hangs on is that of the
            file which defines it, with all that this imports.
        summary: figures drawn from the rows there are.
        settings: what was studied, for the reader and for the test that results are of the present code.
        axes: names of a job's values, by which `--only` chooses a part of the study; without them it has no parts.
        dataset: one that `mea.load` knows.
        changes: what this study has otherwise in the scale, see `changed`; it belongs into its settings too.
        smoke: further changes of the smoke scale.
        made_by: further studies whose code makes these rows.
    """
    options = _options(name)
    torch.set_num_threads(1)
    further = (smoke or {}) if options.scale == "smoke" else {}
    scale = changed(mea.preset(options.scale), (changes or {}) | further)
    data = mea.load(dataset, scale)
    files = [Path(inspect.getfile(run_one)), *(Path(__file__).parent / f"{study}.py" for study in made_by)]
    planned = dict(zip(_identities(jobs, files, scale, data), jobs, strict=True))
    rows = ROOT / "build" / "studies" / name
    rows.mkdir(parents=True, exist_ok=True)
    usual = RESULTS if scale.name == "laptop" else rows / scale.name
    published = (options.out or usual) / f"{name}.json"
    kept = _kept_rows(published, planned)
    missing = [row for row in _wanted(planned, axes, options.only, name) if row not in kept]
    if options.list:
        print(*missing, sep="\n")
        return
    part, parts = map(int, options.part.split("/"))
    to_make = [options.row] if options.row else missing[part::parts]
    started = time.perf_counter()
    for identity in to_make:
        row = _row(rows / f"{identity}.json", run_one, data, scale, planned[identity])
        print(json.dumps(row, ensure_ascii=False), flush=True)
    print(f"{len(to_make)} of {len(jobs)} jobs in {time.perf_counter() - started:.0f} s")
    # A share of the jobs leaves it to whoever does all of them to write what was found.
    if options.row or parts > 1:
        return
    with FileLock(rows / "results.lock"):
        found = _rows_so_far(planned, _kept_rows(published, planned), rows)
        whole = whole_study(
            found,
            scale=scale.name,
            data=dataset,
            command=f"make study STUDY={name}",
            settings=settings,
            summary=summary(found),
        )
        _write(published, {"planned": len(jobs), **whole})
    print(f"{len(found):,} of {len(jobs):,} rows so far, in {published}")


def _options(name: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=f"the study {name}, see its module")
    parser.add_argument("--scale", default="laptop")
    parser.add_argument("--only", default="", help="a part of the study, as 'seed=0; method=runner-up'")
    parser.add_argument("--part", default="0/1", help="which share of the jobs, as 0/2; nothing is written")
    parser.add_argument("--row", help="make the row of this name, and write nothing")
    parser.add_argument(
        "--list", action="store_true", help="print the names of rows to be made, and make none"
    )
    parser.add_argument(
        "--out",
        type=Path,
        help="the folder of finished studies; results/ at laptop scale, else one in build/",
    )
    return parser.parse_args()


def _identities(jobs: Sequence[tuple], files: Sequence[Path], scale: mea.Scale, data: mea.Data) -> list[str]:
    """A name for each row, by all that decides it: its job, the code of these files, the scale and the images."""
    images = [part.digest() for part in (data.owner, data.adversary, data.test)]
    shared = [study_code_digest(files), asdict(scale), images]
    return [hashlib.sha256(json.dumps([*shared, job]).encode()).hexdigest()[:16] for job in jobs]


def _wanted(planned: Mapping[str, tuple], axes: Sequence[str], only: str, name: str) -> list[str]:
    """Names of the rows of a part, in the order of the plan."""
    abouts = [dict(zip(axes, job, strict=True)) if axes else {} for job in planned.values()]
    try:
        chosen = in_part(abouts, only, name)
    except BadStudy as error:
        raise SystemExit(str(error)) from error
    return [identity for identity, is_chosen in zip(planned, chosen, strict=True) if is_chosen]


def _kept_rows(published: Path, planned: Mapping[str, tuple]) -> dict[str, dict]:
    """Rows that an earlier run published, here or on another machine, and that still hold."""
    if not published.exists():
        return {}
    found = json.loads(published.read_text(encoding="utf-8"))["runs"]
    return {row["code"]: row for row in found if row.get("code") in planned}


def _rows_so_far(planned: Mapping[str, tuple], kept: Mapping[str, dict], folder: Path) -> list[dict]:
    """All rows that there are, in the order of the plan, each with its name as `code`, by which it is kept."""
    rows = []
    for identity in planned:
        path = folder / f"{identity}.json"
        if identity in kept:
            rows.append(kept[identity])
        elif path.exists():
            rows.append(json.loads(path.read_text(encoding="utf-8")) | {"code": identity})
    return rows


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


def spreads(
    rows: Sequence[Mapping[str, Any]], axes: Sequence[str], numbers: Sequence[str]
) -> list[dict[str, Any]]:
    """One line for each combination of these values: how many rows, and mean, least and largest of each number.

    Args:
        rows: of a study.
        axes: what they are grouped by.
        numbers: as "wsr" for mean_wsr, least_wsr and largest_wsr; one that no row of a group has, or that is None
            there, is left out.
    """
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[axis] for axis in axes), []).append(row)
    return [
        dict(zip(axes, values, strict=True)) | _spread(group, numbers) for values, group in groups.items()
    ]


def _spread(rows: Sequence[Mapping[str, Any]], numbers: Sequence[str]) -> dict[str, Any]:
    line: dict[str, Any] = {"seeds": len({row["seed"] for row in rows}), "rows": len(rows)}
    for name in numbers:
        given = [row[name] for row in rows if row.get(name) is not None]
        if given:
            line |= {
                f"mean_{name}": float(np.mean(given)),
                f"least_{name}": min(given),
                f"largest_{name}": max(given),
            }
    return line


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


def _every(rows: list[dict], name: str) -> str:
    """What the rows have under this name, each once."""
    return " / ".join(dict.fromkeys(row[name] for row in rows))


def _mean(rows: list[dict], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


def _row(path: Path, run_one: Callable[..., dict], data: mea.Data, scale: mea.Scale, job: tuple) -> dict:
    """The row in this file, kept from an earlier run of the same code or made now."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{path}.lock"):
        if not path.exists():
            _write(path, run_one(data, scale, *job) | machine())
    return json.loads(path.read_text(encoding="utf-8"))


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
