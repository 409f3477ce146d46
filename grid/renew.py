"""Rows outlive an edit that changes no number: `python -m grid.renew --was COMMIT [STUDY …]`.

A row of results/ holds as long as the code behind it is the same, and a better error message is other code. This
program makes some rows of each study at smoke scale twice, by the code of a commit and by the present one, on this
machine. Where all are equal, number for number and weight for weight, the rows that the commit's code made are kept
on: they get the present code's hash, and `made_at` says which commit's code made them. Where one differs nothing of the
study is changed, and it is said which.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from grid import repeating
from grid.job import write

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
FEW = 12  # rows of each study that are made twice
# What two runs of the same code may differ in.
TIMES = ("seconds", "clean_seconds", "victim_seconds", "surrogate_seconds", "surrogates_seconds")


def main() -> None:
    """Renew the studies that the command line names, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("studies", nargs="*", help="by default all whose rows say which code made them")
    parser.add_argument("--was", required=True, help="the commit whose code made the rows")
    parser.add_argument("--rows", type=int, default=FEW, help="of each study, made twice at smoke scale")
    options = parser.parse_args()
    failed = []
    with earlier(options.was) as tree:
        for study in options.studies or signed_studies():
            said = renew(study, tree, options.was, options.rows)
            print(f"{study}: {said}", flush=True)
            failed += [study] if said.startswith("not renewed") else []
    parser.exit(1 if failed else 0)


def signed_studies() -> list[str]:
    """Names of the studies in results/ whose rows say which code made them."""
    found = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in RESULTS.glob("*.json")}
    return sorted(
        name for name, whole in found.items() if any("code" in row for row in whole.get("runs", []))
    )


@contextmanager
def earlier(commit: str):
    """A tree of the code of a commit, which is removed afterwards."""
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        subprocess.run(["git", "worktree", "add", "--detach", "--quiet", tree, commit], cwd=ROOT, check=True)
        try:
            yield tree
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", tree], cwd=ROOT, check=True)


def renew(study: str, tree: Path, commit: str, few: int) -> str:
    """Renew the rows of a study in results/, if its code changes no number.

    Args:
        study: by its name.
        tree: the code of the commit.
        commit: that made the rows; rows of other code are left as they are.
        few: rows that are made twice.

    Returns:
        what was done, in words.
    """
    path = RESULTS / f"{study}.json"
    whole = json.loads(path.read_text(encoding="utf-8"))
    was, now = (asked(place, "codes", study) for place in (tree, ROOT))
    rows = {place: row for row in whole["runs"] if (place := place_of(row, was)) in now}
    changed = [place for place in rows if was[place] != now[place]]
    if not changed:
        return "nothing to renew"
    chosen = sorted(random.Random(study).sample(changed, min(few, len(changed))))
    before, after = (asked(place, "rows", study, chosen) for place in (tree, ROOT))
    others = {
        place: differing(one, other)
        for place, one, other in zip(chosen, before, after, strict=True)
        if differing(one, other)
    }
    if others:
        return f"not renewed, as {len(others)} of {len(chosen)} rows differ: {json.dumps(others)}"
    for place in changed:
        rows[place].setdefault("made_at", commit)
        rows[place]["code"] = now[place]
    write(path, whole)
    return f"{len(changed)} rows renewed, of which {len(chosen)} are equal at {repeating.SCALE} scale"


def place_of(row: dict[str, Any], codes: dict[str, str]) -> str | None:
    """Where a row stands in its study, if it was made by this code."""
    code = row.get("code")
    if row.get("name") in codes:
        return row["name"] if codes[row["name"]] == code else None
    return next((place for place, other in codes.items() if other == code), None)


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """Names of what two rows say differently, times apart."""
    names = {*one, *other} - {*TIMES}
    # As text, since a rate of nothing is NaN, which equals nothing.
    return sorted(name for name in names if repr(one.get(name, ...)) != repr(other.get(name, ...)))


def asked(tree: Path, what: str, study: str, places: Sequence[str] = ()) -> Any:
    """What a tree's code says of a study."""
    with tempfile.TemporaryDirectory() as store:
        ours = {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1", "OMP_NUM_THREADS": "1", "MEA_STORE": store}
        found = subprocess.run(
            [sys.executable, Path(repeating.__file__).resolve(), what, study],
            cwd=tree,
            env={**os.environ, **ours},
            input=json.dumps(list(places)),
            capture_output=True,
            text=True,
            check=False,
        )
    if found.returncode:
        raise RuntimeError(f"{study} in {tree} failed:\n{found.stderr[-2000:]}")
    return json.loads(found.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
