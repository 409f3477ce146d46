"""A program that runs another one within limits, and ends with it whatever that one has started.

`python entry_keeper.py LIMITS COMMAND…` needs neither torch nor the package. On Linux processes whose parents have
ended become its own children, so none of them is lost by a double fork or a session of its own.
"""

import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil

SECONDS_TO_END = 5.0
_DIE_WITH_PARENT, _ADOPT_ORPHANS = 1, 36  # PR_SET_PDEATHSIG and PR_SET_CHILD_SUBREAPER of prctl(2)


def main(limits: dict[str, int], command: list[str]) -> int:
    """Run a command until it ends, and end what it has left behind.

    Args:
        limits: names of `resource`, such as "RLIMIT_AS", with their values.
        command: program and arguments; it gets a session and so a process group of its own.

    Returns:
        its exit code; negative where a signal ended it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the judge's to see, who ends this process
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    _prctl(_ADOPT_ORPHANS, 1)
    _prctl(_DIE_WITH_PARENT, signal.SIGTERM)

    def confine() -> None:
        _prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        for name, value in limits.items():
            kind = getattr(resource, name)
            hard = resource.getrlimit(kind)[1]
            value = value if hard == resource.RLIM_INFINITY else min(value, hard)
            with suppress(ValueError, OSError):  # a limit that this system does not have
                resource.setrlimit(kind, (value, value))

    try:
        process = subprocess.Popen(command, start_new_session=True, preexec_fn=confine)
        os.close(0)  # the line to the judge is the command's alone
        return process.wait()
    finally:
        end_descendants(psutil.Process())


def packed(limits: dict[str, int]) -> str:
    """Limits as the first argument of this program."""
    return json.dumps(limits)


def end_whole(process: subprocess.Popen, store: str) -> None:
    """End this program, as another one started it, and all that its command has started.

    Args:
        process: started with a session of its own.
        store: value of MEA_STORE in its environment, by which those are found whose keeper was killed.
    """
    with suppress(psutil.Error):
        end_descendants(psutil.Process(process.pid))
    if process.poll() is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    while strays := _with_store(store):
        for stray in strays:
            with suppress(psutil.Error):
                stray.kill()
        psutil.wait_procs(strays, timeout=0.2)


def _with_store(store: str) -> list[psutil.Process]:
    strays = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("MEA_STORE") == store and process.status() != psutil.STATUS_ZOMBIE:
                strays.append(process)
    return strays


def end_descendants(root: psutil.Process, seconds: float = SECONDS_TO_END) -> None:
    """Kill all that a process has started, until nothing of it is left; itself it goes on.

    All are stopped before one is killed, so that none can start another in between.

    Args:
        root: where those whose parents have ended are adopted, so that none of them is missed.
        seconds: until it is given up.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        left = _alive(root)
        if not left:
            return
        for action in (psutil.Process.suspend, psutil.Process.kill):
            for process in left:
                with suppress(psutil.Error):
                    action(process)
        psutil.wait_procs(left, timeout=0.2)


def _alive(root: psutil.Process) -> list[psutil.Process]:
    alive = []
    with suppress(psutil.Error):
        for process in root.children(recursive=True):
            with suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(process)
    return alive


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    code = main(json.loads(sys.argv[1]), sys.argv[2:])
    if code < 0:  # end as the command did
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code)
