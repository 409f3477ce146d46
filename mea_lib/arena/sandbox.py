"""A sandbox by bubblewrap, where the machine has it: no network, a read-only system, nothing of the judge's."""

import os
import shutil
import site
import subprocess
import sys
from functools import cache
from pathlib import Path

SECONDS_TO_TRY = 20.0
# Programs, libraries and how they are found; neither homes nor settings of services.
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/sys/devices/system/cpu")
_SETTINGS = ("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "localtime", "passwd", "group")
_GPU = ("nvidia0", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset")


@cache
def why_no_sandbox() -> str | None:
    """Why entries run without a sandbox on this machine; None where they have one. It is tried once a program."""
    if shutil.which("bwrap") is None:
        return "bubblewrap (the program bwrap) is not on this machine"
    command = [*_bwrap(), sys.executable, "-c", ""]
    try:
        tried = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS_TO_TRY,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bubblewrap does not work here: {error}"
    if tried.returncode == 0:
        return None
    lines = tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"]
    return f"bubblewrap does not work here: {lines[-1]}"


def sandboxed(command: list[str], entry: Path, store: Path) -> list[str]:
    """A command as it is run in the sandbox.

    It sees the system and the Python environment, both read-only, the entry's file, and what it may import: the
    Python files and packages beside that file. It may write in `store` and in a /tmp of its own. It has no network,
    and no other process is to be seen.

    Args:
        command: program and arguments.
        entry: the entry's file.
        store: a folder for it alone.
    """
    beside = [path for path in sorted(entry.parent.iterdir()) if path == entry or _can_be_imported(path)]
    visible = [part for path in beside for part in ("--ro-bind", str(path), str(path))]
    folder = ["--bind", str(store), str(store), "--chdir", str(store)]
    return [*_bwrap(), *visible, *folder, *command]


def _can_be_imported(path: Path) -> bool:
    return (path.is_file() and path.suffix == ".py") or (path / "__init__.py").is_file()


def _bwrap() -> list[str]:
    """The sandbox with system and Python, but without an entry."""
    read_only = [*_SYSTEM, *(f"/etc/{name}" for name in _SETTINGS)]
    python = {sys.prefix, sys.base_prefix, *site.getsitepackages(), str(Path(__file__).parent.parent)}
    if site.ENABLE_USER_SITE:
        python.add(site.getusersitepackages())
    options = [part for path in read_only for part in ("--ro-bind-try", path, path)]
    options += ["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    options += [part for name in _GPU for part in ("--dev-bind-try", f"/dev/{name}", f"/dev/{name}")]
    options += [part for path in sorted(python) for part in ("--ro-bind-try", path, path)]
    drop = ["--cap-drop", "ALL"] if os.getuid() == 0 else []
    return ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", *drop, *options]
