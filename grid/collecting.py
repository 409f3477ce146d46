"""From the rows of a study to results/<study>.json and a table: `python -m grid.collecting STUDY --rows … --out …`."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.study import MEASURES, means, whole_study
from grid.job import write
from grid.kept import kept_rows, place_of, signed
from grid.methods import method_of
from grid.plan import plan_of
from grid.study import AXES, Study, read_study
from mea_lib.files import write_whole
from mea_lib.training.plain import as_plain

AVERAGED = (*MEASURES, "other_pairs")
SPREAD_OVER = ("seed", "key")


def main() -> None:
    """Write both files, once all rows are there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--scale", required=True)
    parser.add_argument("--only", default="")
    parser.add_argument("--rows", type=Path, required=True, help="the folder of the rows")
    parser.add_argument(
        "--out", type=Path, required=True, help="the JSON file; the table stands beside it as .md"
    )
    parser.add_argument(
        "--publish", type=Path, help="the folder of finished studies, whose rows are kept and added to"
    )
    options = parser.parse_args()
    study = read_study(options.study, options.scale)
    published = options.publish / f"{options.study}.json" if options.publish else None
    whole = collected(study, rows_so_far(study, options.only, options.rows, published))
    for path in filter(None, (options.out, published)):
        write_whole(path.with_suffix(".md"), table(study, whole))
        write(path, whole)


def rows_so_far(study: Study, only: str, folder: Path, published: Path | None) -> list[dict[str, Any]]:
    """The rows that were asked for, and those that earlier runs have published, in the order of the plan."""
    plan = plan_of(study)
    wanted = set(map(place_of, plan_of(study, only).rows))
    kept = kept_rows(plan, published) if published else {}
    rows = []
    for model in plan.rows:
        if place_of(model) in kept:
            rows.append(kept[place_of(model)])
        elif place_of(model) in wanted:
            path = folder / model.stage / f"{model.name}.json"
            rows.append(signed(json.loads(path.read_text(encoding="utf-8")), model))
    return rows


def collected(study: Study, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The study as results have it; `planned` is the number of rows that the whole study has."""
    whole = whole_study(
        rows,
        scale=study.scale,
        data=study.data,
        command=f"make study STUDY={study.name}",
        settings=settings(study),
        summary=summary(rows),
    )
    return {"planned": len(plan_of(study).rows), **whole}


def settings(study: Study) -> dict[str, Any]:
    """What was studied: the configuration, and the settings of its methods as the package has them now."""
    kinds = {"methods": study.methods, "attacks": study.attacks, "removals": study.removals}
    built = {
        kind: {name: as_plain(method_of(kind, given)) for name, given in methods.items()}
        for kind, methods in kinds.items()
    }
    return json.loads(json.dumps(asdict(study) | {"as_built": built}))


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One line for each combination of what was varied: means over keys and seeds, and the least WSR."""
    axes = [axis for axes in AXES.values() for axis in axes if axis not in SPREAD_OVER]
    varied = [axis for axis in axes if len({json.dumps(row.get(axis)) for row in rows}) > 1] or ["method"]
    groups: dict[tuple, list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(axis) for axis in varied), []).append(row)
    return [dict(zip(varied, values, strict=True)) | _line(own) for values, own in groups.items()]


def _line(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    line: dict[str, Any] = {"models": len(rows)} | means(rows, AVERAGED)
    line["least_wsr"] = min(row["wsr"] for row in rows)
    line["largest_wsr"] = max(row["wsr"] for row in rows)
    line["convicted"] = sum(row["verdict"].startswith("carries") for row in rows)
    return line


def table(study: Study, whole: Mapping[str, Any]) -> str:
    """The summary as a table in Markdown."""
    lines = whole["summary"]
    names = list(dict.fromkeys(name for line in lines for name in line))
    rows = [[_shown(line.get(name)) for name in names] for line in lines]
    words = [f"# {study.name}", "", " ".join(study.about.split()), ""]
    words += [
        f"{_count(whole)}, scale {whole['scale']}, {whole['data']}, {whole['hardware']}, "
        f"{whole['precision']}, {whole['seconds']:,} s. Made by `{whole['command']}`.",
        "",
    ]
    words += [_row([name.replace("_", " ") for name in names]), _row(["---"] * len(names)), *map(_row, rows)]
    return "\n".join(words) + "\n"


def _count(whole: Mapping[str, Any]) -> str:
    rows, planned = len(whole["runs"]), whole["planned"]
    return f"{rows} rows" if rows == planned else f"{rows:,} of {planned:,} rows so far"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if isinstance(value, float) and not isinstance(value, bool) else str(value)


if __name__ == "__main__":
    main()
