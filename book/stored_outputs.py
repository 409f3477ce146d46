"""How the outputs of a run get into notebooks: into the pages, and into the folder where `make read` finds them."""

import sys
from collections.abc import Sequence
from pathlib import Path

import nbformat
from digests import cells_digest, code_digest
from files import write_whole
from finished import Finished
from nbformat import NotebookNode


def page_of(path: Path, out: Path) -> NotebookNode:
    """The chapter as its page shows it: the text as it is now, the outputs of its executed copy.

    A chapter whose code was edited since it ran is shown as it ran.
    """
    executed = nbformat.read(Finished(out, path.stem).notebook, as_version=4)
    kept = nbformat.read(path, as_version=4)
    return kept if _take_outputs(kept, executed) else executed


def store_outputs(notebooks: Sequence[Path], out: Path) -> list[str]:
    """Put the outputs of the executed copies into the notebooks, with what they belong to, into `metadata.mea`.

    `outputs_of` changes with the notebook's own code, `code_digest` with the package's as well; `claims` are the
    chapter's, `scale` the run's, `seconds` how long it took at each scale from an empty store, and `run` when, where
    and with which versions it ran.

    Returns:
        the chapters whose code was edited while they ran; they are left as they are, and it is said.
    """
    edited = []
    for path in notebooks:
        finished = Finished(out, path.stem)
        kept = nbformat.read(path, as_version=4)
        if not _take_outputs(kept, nbformat.read(finished.notebook, as_version=4)):
            print(
                f"{path.stem}: edited while it ran, so its outputs are not stored; run it again",
                file=sys.stderr,
            )
            edited.append(path.stem)
            continue
        stamp = finished.read_stamp()
        mea = kept.metadata.setdefault("mea", {})
        mea["outputs_of"], mea["code_digest"] = cells_digest(kept), code_digest(kept)
        mea["scale"], mea["claims"] = stamp["scale"], finished.read_claims()
        if stamp["seconds"]:
            mea["seconds"] = mea.get("seconds", {}) | {stamp["scale"]: round(stamp["seconds"])}
        if stamp.get("run"):
            mea["run"] = stamp["run"]
        write_whole(path, nbformat.writes(kept) + "\n")
        print(f"{path.stem}: outputs stored", flush=True)
    return edited


def _take_outputs(kept: NotebookNode, executed: NotebookNode) -> bool:
    """Give each code cell of `kept` the outputs it had in `executed`; False, and nothing done, if the code differs."""
    own = [cell for cell in kept.cells if cell.cell_type == "code"]
    ran = [
        cell
        for cell in executed.cells
        if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    if [cell.source for cell in own] != [cell.source for cell in ran]:
        return False
    for cell, run in zip(own, ran, strict=True):
        cell.outputs, cell.execution_count = run.outputs, run.execution_count
    return True
