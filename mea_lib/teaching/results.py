"""The committed studies, wherever the package runs: in the repository, or installed from a wheel."""

import json
from importlib.resources import files
from pathlib import Path


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
