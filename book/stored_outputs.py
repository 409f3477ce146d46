"""How the outputs of a run get into the notebooks folder, where `make read` finds them."""

from collections.abc import Sequence
from pathlib import Path

import nbformat
from digests import cells_digest, code_digest
from files import write_whole
from finished import Finished


def store_outputs(notebooks: Sequence[Path], out: Path) -> None:
    """Put the outputs of the executed copies into the notebooks, with what they belong to, into `metadata.mea`.

    `outputs_of` changes with the notebook's own code, `code_digest` with the package's as well; `claims` are the
    chapter's, `scale` the run's, and `seconds` how long it took at each scale from an empty store.
    """
    for path in notebooks:
        finished = Finished(out, path.stem)
        executed = nbformat.read(finished.notebook, as_version=4)
        kept = nbformat.read(path, as_version=4)
        executed_code = [
            cell
            for cell in executed.cells
            if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
        ]
        own_code = [cell for cell in kept.cells if cell.cell_type == "code"]
        for own, run in zip(own_code, executed_code, strict=True):
            own.outputs, own.execution_count = run.outputs, run.execution_count
        stamp = finished.read_stamp()
        mea = kept.metadata.setdefault("mea", {})
        mea["outputs_of"], mea["code_digest"] = cells_digest(kept), code_digest(kept)
        mea["scale"], mea["claims"] = stamp["scale"], finished.read_claims()
        if stamp["seconds"]:
            mea["seconds"] = mea.get("seconds", {}) | {stamp["scale"]: round(stamp["seconds"])}
        write_whole(path, nbformat.writes(kept) + "\n")
        print(f"{path.stem}: outputs stored", flush=True)
