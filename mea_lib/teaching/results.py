"""The committed studies, wherever the package runs (in the repository, or installed from a wheel), and their runs."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

Run = Mapping[str, Any]


def find_results(name: str, start: Path | None = None) -> dict | None:
    """The results of a study, or None where nobody has made it.

    The first of these that has it: `results/` in `start` or a folder above it, so that in a working tree its own
    count; `results/` beside the package's code, as in an editable installation; what the wheel brought along.

    Args:
        name: of the study, such as "attack_study".
        start: the folder to begin with; by default the present one.
    """
    here = (start or Path.cwd()).resolve()
    beside_the_code = Path(__file__).resolve().parents[2]
    for folder in (here, *here.parents, beside_the_code, files("mea_lib")):
        path = folder / "results" / f"{name}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
    return None


def runs_with(runs: Sequence[Run], **wanted: Any) -> list[Run]:
    """The runs of a study that have these values: `runs_with(runs, method="runner-up", temperature=4.0)`.

    Args:
        runs: of one study.
        wanted: values by their names. A run that lacks the name does not have the value.

    Raises:
        KeyError: for a name that no run has, as a mistyped one would silently find nothing.
    """
    for name in wanted:
        if runs and not any(name in run for run in runs):
            raise KeyError(f"no run has {name!r}; the first one has: {', '.join(runs[0])}")
    return [run for run in runs if all(name in run and run[name] == wanted[name] for name in wanted)]


def column(runs: Sequence[Run], name: str) -> list[Any]:
    """What each of these runs has under a name, in their order."""
    return [run[name] for run in runs]


def so_far(study: Mapping[str, Any] | None) -> str:
    """How much of a study there is: "56 of 336 planned rows; 1 key, 1 seed".

    Args:
        study: as `find_results` gives it; None, and one without runs, has "no rows yet".
    """
    runs = study["runs"] if study else []
    if not runs:
        return "no rows yet"
    planned = study.get("planned", len(runs))
    rows = f"{len(runs):,} of {planned:,} planned rows" if len(runs) < planned else f"all {planned:,} rows"
    counts = {name: len({run[name] for run in runs if name in run}) for name in ("key", "seed")}
    of = [f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items() if count]
    return "; ".join([rows, ", ".join(of)]) if of else rows
