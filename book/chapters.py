"""Run the chapters with papermill, several at once, and keep what is finished."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
from digests import chapter_digest, code_of
from files import one_at_a_time, write_whole
from finished import Finished
from progress import Progress, expectations
from run_facts import PEAK, run_facts

PROCESS = Path(__file__).with_name("chapter_process.py")
LOG_TAIL = 25
SECONDS_TO_END = 5


def run_all(
    notebooks: list[Path], out: Path, scale: str, workers: int | None = None
) -> dict[str, str | None]:
    """Execute the notebooks; for each name the digest of what it was made from, or None where it failed.

    Each runs in a process of its own with one thread, one process a core: on CPUs two processes with one
    thread train faster than one with two, and the store sees to it that no model is trained twice.
    """
    workers = workers or os.cpu_count() or 1
    weights, are_seconds = expectations(notebooks, scale)
    longest_first = sorted(notebooks, key=lambda path: (-weights[path.stem], path.name))
    progress = Progress(weights, are_seconds, workers)
    run = Run(
        out, scale, not any(any(folder.glob("*")) for folder in stores(out)), threading.Event(), progress
    )
    with _PeakMemory() as memory, progress, ThreadPoolExecutor(workers) as pool:
        try:
            digests = list(pool.map(run.chapter, longest_first))
        except KeyboardInterrupt:
            run.stopping.set()
            _end_children()
            raise
    if memory.peak_gib:
        print(f"chapters: peak memory of all processes {memory.peak_gib:.2f} GiB", flush=True)
    return dict(sorted((path.stem, digest) for path, digest in zip(longest_first, digests, strict=True)))


def fetch_data(notebooks: list[Path], out: Path, scale: str) -> bool:
    """Make sure, once for all, of the data sets that chapters which must run load by name; whether they are there."""
    waiting = [
        path
        for path in notebooks
        if not Finished(out, path.stem).is_of(chapter_digest(path, scale, work(out, path)))
    ]
    code = "\n".join(code_of(nbformat.read(path, as_version=4)) for path in waiting)
    names = sorted(set(re.findall(r"""\bmea\.load\(\s*["']([^"']+)["']""", code)))
    if not names:
        return True
    command = [sys.executable, "-m", "mea_lib.data", *names]
    return subprocess.run(command, env=environment(out, scale), check=False).returncode == 0


def collect_claims(out: Path, digests: Mapping[str, str | None]) -> list[dict]:
    """All claims of the chapters that finished, in order; also written to claims.json."""
    finished = sorted(name for name, digest in digests.items() if digest)
    claims = [claim for name in finished for claim in Finished(out, name).read_claims()]
    write_whole(out / "claims.json", json.dumps(claims, indent=2, ensure_ascii=False))
    return claims


def overtaken(out: Path, digests: Mapping[str, str | None]) -> list[str]:
    """Chapters that another process has meanwhile run again from something else, such as another scale."""
    return [name for name, digest in digests.items() if digest and not Finished(out, name).is_of(digest)]


def stores(out: Path) -> list[Path]:
    """The folders of finished models, which every chapter shares, as MEA_STORE lists them."""
    listed = os.environ.get("MEA_STORE") or str(out / "store")
    return [Path(name).expanduser().resolve() for name in listed.split(os.pathsep) if name]


def work(out: Path, path: Path) -> Path:
    """The folder in which a chapter runs."""
    return out / "work" / path.stem


def environment(out: Path, scale: str) -> dict[str, str]:
    """Variables for the processes that this one starts; folders are absolute, since they run in others."""
    variables = os.environ | {
        "MEA_SCALE": scale,
        "MEA_STORE": os.pathsep.join(map(str, stores(out))),
        "OMP_NUM_THREADS": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
    }
    for name in ("MEA_DATA", "MEA_CACHE"):
        if variables.get(name):
            variables[name] = str(Path(variables[name]).expanduser().resolve())
    return variables


@dataclass(frozen=True)
class Run:
    """One run of the driver.

    Attributes:
        out: the build's folder.
        scale: its name.
        from_nothing: whether it began with an empty store, so that its times are those of a first run.
        stopping: once it is set nothing more is started, and what ends is not reported as failed.
        progress: told what starts and ends.
    """

    out: Path
    scale: str
    from_nothing: bool
    stopping: threading.Event
    progress: Progress

    def chapter(self, path: Path) -> str | None:
        """Execute one notebook unless its executed copy belongs to the present code; the digest of what that is.

        Another process that runs the same chapter is waited for. None when the chapter fails or is interrupted.
        """
        finished = Finished(self.out, path.stem)
        digest = chapter_digest(path, self.scale, work(self.out, path))
        lock = self.out / "locks" / f"{path.stem}.lock"
        with one_at_a_time(lock, f"{path.stem}: another process runs it, waiting", self.stopping):
            if self.stopping.is_set():
                return None
            if finished.is_of(digest):
                self.progress.kept(path.stem)
                return digest
            return digest if self._execute(path, finished, digest) else None

    def _execute(self, path: Path, finished: Finished, digest: str) -> bool:
        """Run the notebook in a folder of this process's own and publish what it leaves; whether it succeeded."""
        for left in (self.out / "running").glob(f"{path.stem}.*"):
            shutil.rmtree(left, ignore_errors=True)  # by a driver that is gone, since the lock is ours
        running = self.out / "running" / f"{path.stem}.{os.getpid()}"
        partial, claims = running / path.name, running / f"{path.stem}.json"
        for folder in (running, work(self.out, path)):
            folder.mkdir(parents=True, exist_ok=True)
        self.progress.started(path.stem)
        status, log = self._papermill(path, partial)
        seconds = self.progress.ended(path.stem)
        if self.stopping.is_set():
            return False
        if status:
            _complain(f"{path.stem}: failed after {seconds:.0f} s; as far as it came it is in {partial}", log)
            return False
        if not claims.exists():
            _complain(f"{path.stem}: failed, since it saved no claims; end it with claims.save()")
            return False
        _drop_install_noise(partial)
        run = run_facts(int(partial.with_suffix(PEAK).read_text()))
        finished.publish(partial, claims, digest, self.scale, seconds if self.from_nothing else None, run)
        shutil.rmtree(running, ignore_errors=True)
        print(f"{path.stem}: done in {seconds:.0f} s", flush=True)
        return True

    def _papermill(self, path: Path, partial: Path) -> tuple[int, str]:
        """Exit status and log of the process that executes the notebook, which claims into the copy's folder."""
        variables = environment(self.out, self.scale) | {"MEA_CLAIMS_DIR": str(partial.parent.resolve())}
        command = [sys.executable, str(PROCESS), str(path.resolve()), str(partial.resolve()), self.scale]
        command += [str(work(self.out, path))]
        # What is printed goes to a file: the end of a pipe would come only when all that a chapter started has ended.
        log = partial.with_suffix(".log")
        # Nothing is ever written to this pipe: its end tells the process that the driver is gone.
        read_end, write_end = os.pipe()
        try:
            with log.open("w") as printed:
                # In a session of its own, so that Ctrl-C reaches the driver alone, which then ends the chapters.
                ended = subprocess.run(
                    command,
                    env=variables,
                    stdin=read_end,
                    stdout=printed,
                    stderr=subprocess.STDOUT,
                    check=False,
                    start_new_session=True,
                )
        finally:
            os.close(read_end)
            os.close(write_end)
        return ended.returncode, log.read_text(encoding="utf-8", errors="replace")


def _complain(sentence: str, log: str = "") -> None:
    """Print what is wrong, and the end of the log, as one piece."""
    lines = log.strip().splitlines()[-LOG_TAIL:]
    print("\n  ".join([sentence, *lines]), file=sys.stderr, flush=True)


def _end_children() -> None:
    """End all processes this one has started, kernels too."""
    children = psutil.Process().children(recursive=True)
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for child in children:
            with suppress(psutil.NoSuchProcess):
                end(child)
        _, children = psutil.wait_procs(children, SECONDS_TO_END)


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
