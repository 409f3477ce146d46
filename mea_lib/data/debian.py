"""Fashion-MNIST from Debian's package: as it is installed, or fetched and unpacked, which needs no root."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

PACKAGE = "dataset-fashion-mnist"
FOLDER = Path("/usr/share/datasets/fashion-mnist")
START_SECONDS = 10  # until apt-get must have begun to write
FETCH_SECONDS = 300
_QUICK = [
    *("-o", "Acquire::Retries=0", "-o", "Acquire::http::Timeout=5", "-o", "Acquire::https::Timeout=5"),
]


def unpack_package(folder: Path) -> None:
    """Fetch the package and unpack it into a folder.

    Raises:
        OSError: where apt-get or dpkg-deb are not there, do not answer, or fail; says what they said.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise FileNotFoundError("apt-get and dpkg-deb are not on this system")
    _run(["apt-get", *_QUICK, "download", PACKAGE], folder)
    package = next(folder.glob("*.deb"), None)
    if package is None:
        raise OSError("apt-get wrote no package")
    _run(["dpkg-deb", "-x", package.name, "."], folder)
    package.unlink()


def unpacked(folder: Path) -> Path:
    """Where the data are in a folder into which the package was unpacked."""
    return folder / FOLDER.relative_to("/")


def _run(command: list[str], folder: Path) -> None:
    """Run a command in a folder, and end it where it writes nothing there for START_SECONDS."""
    environment = {**os.environ, "LC_ALL": "C"}
    with (folder / "output").open("w+") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdout=output, stderr=output, env=environment, start_new_session=True
        )
        started = time.monotonic()
        try:
            while process.poll() is None:
                seconds = time.monotonic() - started
                if seconds > FETCH_SECONDS or (seconds > START_SECONDS and _is_empty(folder)):
                    raise OSError(f"{command[0]} did nothing for {seconds:.0f} seconds")
                time.sleep(0.05)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if process.returncode:
            output.seek(0)
            said = output.read().strip().splitlines() or [f"ended with status {process.returncode}"]
            raise OSError(f"{command[0]}: {said[-1]}")
    (folder / "output").unlink()


def _is_empty(folder: Path) -> bool:
    return all(path.name == "output" for path in folder.iterdir())
