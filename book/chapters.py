"""Run the chapters with papermill, several at once, and keep what is finished."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import psutil

from mea_lib.training.store import PACKAGE

LOG_TAIL = 25


def run_all(notebooks: list[Path], out: Path, scale: str, workers: int | None = None) -> list[str]:
    """Execute the notebooks and return the names of those that failed.

    Each runs in a process of its own with one thread, one process a core: on CPUs two processes with one
    thread train faster than one with two, and the store sees to it that no model is trained twice.
    """
    workers = workers or os.cpu_count() or 1
    (out / "notebooks").mkdir(parents=True, exist_ok=True)
    longest_first = sorted(notebooks, key=lambda path: (-_minutes(path), path.name))
    with _PeakMemory() as memory, ThreadPoolExecutor(workers) as pool:
        done = list(pool.map(lambda path: run_one(path, out, scale), longest_first))
    print(f"chapters: peak memory of all processes {memory.peak_gib:.2f} GiB", flush=True)
    return sorted(path.stem for path, finished in zip(longest_first, done, strict=True) if not finished)


def run_one(path: Path, out: Path, scale: str) -> bool:
    """Execute one notebook unless its executed copy belongs to the present code; whether it succeeded."""
    executed = out / "notebooks" / path.name
    stamp = executed.with_suffix(".stamp")
    digest = chapter_digest(path, scale)
    claims = out / "claims" / f"{path.stem}.json"
    if executed.exists() and stamp.exists() and stamp.read_text() == digest:
        print(f"{path.stem}: unchanged, kept", flush=True)
        return True
    stamp.unlink(missing_ok=True)
    claims.unlink(missing_ok=True)
    work = out / "work" / path.stem
    work.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "MEA_SCALE": scale,
        "MEA_STORE": os.environ.get("MEA_STORE", str(out / "store")),
        "MEA_CLAIMS_DIR": str(claims.parent.resolve()),
        "OMP_NUM_THREADS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    partial = executed.with_suffix(".running.ipynb")
    command = [sys.executable, "-m", "papermill", str(path.resolve()), str(partial.resolve())]
    command += ["-p", "SCALE", scale, "-k", "python3", "--cwd", str(work), "--no-progress-bar"]
    print(f"{path.stem}: started", flush=True)
    started = time.perf_counter()
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    if finished.returncode:
        lines = (finished.stdout + finished.stderr).strip().splitlines()[-LOG_TAIL:]
        print(
            f"{path.stem}: failed after {seconds:.0f} s\n  " + "\n  ".join(lines), file=sys.stderr, flush=True
        )
        return False
    _drop_install_noise(partial)
    os.replace(partial, executed)
    stamp.write_text(digest)
    print(f"{path.stem}: done in {seconds:.0f} s", flush=True)
    return True


def collect_claims(out: Path, chapters: list[str]) -> list[dict]:
    """All claims of these chapters, in order; also written to claims.json."""
    claims = []
    for chapter in sorted(chapters):
        path = out / "claims" / f"{chapter}.json"
        claims += json.loads(path.read_text()) if path.exists() else []
    (out / "claims.json").write_text(json.dumps(claims, indent=2, ensure_ascii=False))
    return claims


def store_outputs(notebooks: list[Path], out: Path) -> None:
    """Put the outputs of the executed copies into the notebooks, with the digest of the code they belong to."""
    for path in notebooks:
        executed = nbformat.read(out / "notebooks" / path.name, as_version=4)
        kept = nbformat.read(path, as_version=4)
        executed_code = [
            cell
            for cell in executed.cells
            if cell.cell_type == "code" and "injected-parameters" not in cell.metadata.get("tags", [])
        ]
        own_code = [cell for cell in kept.cells if cell.cell_type == "code"]
        for own, run in zip(own_code, executed_code, strict=True):
            own.outputs, own.execution_count = run.outputs, run.execution_count
        kept.metadata.setdefault("mea", {})["outputs_of"] = cells_digest(kept)
        nbformat.write(kept, path)
        print(f"{path.stem}: outputs stored", flush=True)


def cells_digest(notebook: nbformat.NotebookNode) -> str:
    """Hash of the code in a notebook's cells, which its stored outputs must belong to."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def chapter_digest(path: Path, scale: str) -> str:
    """Hash of everything an executed copy depends on: the notebook, the package, the scale."""
    notebook = nbformat.read(path, as_version=4)
    digest = hashlib.sha256("\0".join(f"{cell.cell_type}\n{cell.source}" for cell in notebook.cells).encode())
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(file.read_bytes())
    digest.update(scale.encode())
    return digest.hexdigest()


def _minutes(path: Path) -> float:
    """How long the chapter is expected to take, from its metadata."""
    return nbformat.read(path, as_version=4).metadata.get("mea", {}).get("minutes", 0)


def _drop_install_noise(path: Path) -> None:
    """Remove what papermill and clocks leave in a notebook, so that equal runs give equal files."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.pop("papermill", None)
    for cell in notebook.cells:
        for name in ("papermill", "execution"):
            cell.metadata.pop(name, None)
        if "injected-parameters" in cell.metadata.get("tags", []):
            cell.metadata.tags.append("remove-cell")
    nbformat.write(notebook, path)


class _PeakMemory:
    """Samples the resident memory of this process's children while a block runs."""

    def __enter__(self) -> "_PeakMemory":
        self.peak_gib = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(1.0):
            total = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    total += child.memory_info().rss
                except psutil.Error:
                    continue
            self.peak_gib = max(self.peak_gib, total / 2**30)
