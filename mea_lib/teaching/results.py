"""The committed studies, where a chapter runs inside the repository."""

import json
from pathlib import Path


def find_results(name: str, start: Path | None = None) -> dict | None:
    """The results of a study, or None where the repository is not at hand, as on Colab.

    Args:
        name: of the study, such as "attack_study".
        start: the folder from which `results/` is looked for upwards; by default the present one.
    """
    here = (start or Path.cwd()).resolve()
    for folder in (here, *here.parents):
        path = folder / "results" / f"{name}.json"
        if path.exists():
            return json.loads(path.read_text())
    return None
