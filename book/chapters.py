"""Run the chapters with papermill, several at once, and keep what is finished."""

import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil

# Found without importing it, which would load PyTorch into a process that only starts others.
PACKAGE = Path(importlib.util.find_spec("mea_lib").origin).parent
LOG_TAIL = 25
SECONDS_TO_END = 5


def run_all(notebooks: list[Path], out: Path, scale: str, workers: int | None = None) -> list[str]:
    """Execute the notebooks and return the names of those that failed.

    Each runs in a process of its own with one thread, one process a core: on CPUs two processes with one
    thread train faster than one with two, and the store sees to it that no model is trained twice.
    """
    workers = workers or os.cpu_count() or 1
    (out / "notebooks").mkdir(parents=True, exist_ok=True)
    longest_first = sorted(notebooks, key=lambda path: (-_minutes(path), path.name))
    stopping = threading.Event()
    with _PeakMemory() as memory, ThreadPoolExecutor(workers) as pool:
        try:
            done = list(pool.map(lambda path: run_one(path, out, scale, stopping), longest_first))
        except KeyboardInterrupt:
            stopping.set()
            _end_children()
            raise
    if memory.peak_gib:
        print(f"chapters: peak memory of all processes {memory.peak_gib:.2f} GiB", flush=True)
    return sorted(path.stem for path, finished in zip(longest_first, done, strict=True) if not finished)


def run_one(path: Path, out: Path, scale: str, stopping: threading.Event) -> bool:
    """Execute one notebook unless its executed copy belongs to the present code; whether it succeeded.

    Once `stopping` is set nothing more is started, and what ends is not reported as failed.
    """
    executed = out / "notebooks" / path.name
    stamp = executed.with_suffix(".stamp")
    work = out / "work" / path.stem
    digest = chapter_digest(path, scale, work)
    claims = out / "claims" / f"{path.stem}.json"
    if all(file.exists() for file in (executed, stamp, claims)) and stamp.read_text() == digest:
        print(f"{path.stem}: unchanged, kept", flush=True)
        return True
    stamp.unlink(missing_ok=True)
    claims.unlink(missing_ok=True)
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
    if stopping.is_set():
        return False
    print(f"{path.stem}: started", flush=True)
    started = time.perf_counter()
    # In a session of its own, so that Ctrl-C reaches this process alone, which then ends the chapters.
    finished = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, start_new_session=True
    )
    seconds = time.perf_counter() - started
    if stopping.is_set():
        return False
    if finished.returncode:
        lines = (finished.stdout + finished.stderr).strip().splitlines()[-LOG_TAIL:]
        print(
            f"{path.stem}: failed after {seconds:.0f} s\n  " + "\n  ".join(lines), file=sys.stderr, flush=True
        )
        return False
    if not claims.exists():
        print(
            f"{path.stem}: failed, since it saved no claims; end it with claims.save()",
            file=sys.stderr,
            flush=True,
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
    """Put the outputs of the executed copies into the notebooks, with digests of the code they belong to.

    `mea.outputs_of` changes with the notebook's own code, `mea.code_digest` with the package's as well.
    """
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
        mea = kept.metadata.setdefault("mea", {})
        mea["outputs_of"], mea["code_digest"] = cells_digest(kept), code_digest(kept)
        nbformat.write(kept, path)
        print(f"{path.stem}: outputs stored", flush=True)


def cells_digest(notebook: nbformat.NotebookNode) -> str:
    """Hash of the code in a notebook's cells, which its stored outputs must belong to."""
    code = "\0".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def code_digest(notebook: nbformat.NotebookNode) -> str:
    """Hash of the code in a notebook's cells and in the package."""
    return hashlib.sha256(cells_digest(notebook).encode() + package_digest()).hexdigest()[:16]


def package_digest() -> bytes:
    """Hash of the package's files."""
    digest = hashlib.sha256()
    for file in sorted(PACKAGE.rglob("*.py")):
        digest.update(f"{file.relative_to(PACKAGE).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    return digest.digest()


def chapter_digest(path: Path, scale: str, work: Path) -> str:
    """Hash of everything an executed copy depends on: the notebook, the package, the scale, the studies shown."""
    notebook = nbformat.read(path, as_version=4)
    digest = hashlib.sha256("\0".join(f"{cell.cell_type}\n{cell.source}" for cell in notebook.cells).encode())
    digest.update(package_digest())
    digest.update(scale.encode())
    for study in _studies(notebook, work):
        digest.update(study.read_bytes())
    return digest.hexdigest()


def _studies(notebook: nbformat.NotebookNode, work: Path) -> list[Path]:
    """The results that the code names, in all folders where `find_results` looks when it runs in `work`."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    found = (file for folder in work.resolve().parents for file in sorted(folder.glob("results/*.json")))
    return [file for file in found if f'"{file.stem}"' in code]


def _end_children() -> None:
    """End all processes this one has started, kernels too."""
    children = psutil.Process().children(recursive=True)
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for child in children:
            with suppress(psutil.NoSuchProcess):
                end(child)
        _, children = psutil.wait_procs(children, SECONDS_TO_END)


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
