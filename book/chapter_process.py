"""One chapter run by papermill, in a process that ends with the driver that started it, however that one ends."""

import os
import resource
import sys
import threading
from pathlib import Path

import papermill
import psutil
import zmq
from run_facts import PEAK
from traitlets.config import Config

BYTES = 1 if sys.platform == "darwin" else 1024  # the unit of the system's own count
ROUNDS = 3
SECONDS_TO_END = 5
# On a machine that is busy with other chapters.
SECONDS_TO_START = 300
SECONDS_FOR_AN_OUTPUT = 60


def main(source: str, target: str, scale: str, folder: str) -> None:
    """Execute the notebook `source` in `folder` and write the executed copy to `target`."""
    threading.Thread(target=end_with_driver, daemon=True).start()
    papermill.execute_notebook(
        source,
        target,
        parameters={"SCALE": scale},
        kernel_name="python3",
        cwd=folder,
        progress_bar=False,
        start_timeout=SECONDS_TO_START,
        iopub_timeout=SECONDS_FOR_AN_OUTPUT,
        config=_connection(),
    )
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * BYTES
    Path(target).with_suffix(PEAK).write_text(str(round(peak / 2**20)))


def _connection() -> Config:
    """Talk with the kernel through files of its own: a port that is chosen now may be another program's in a second."""
    return Config(KernelManager={"transport": "ipc"} if zmq.has("ipc") else {})


def end_with_driver() -> None:
    """Wait for the end of standard input, then end the kernel, all that it has started, and this process.

    The driver holds the other end of that pipe. The system closes it when the driver is gone, even by kill -9.
    """
    while os.read(sys.stdin.fileno(), 1):
        pass
    for _ in range(ROUNDS):
        children = psutil.Process().children(recursive=True)
        for child in children:
            try:
                child.kill()
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(children, SECONDS_TO_END)
    os._exit(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
