"""What belongs to the outputs of a run besides its figures: the day, the machine, the versions."""

import datetime
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version

PEAK = ".peak_mib"  # ending of the file beside an executed copy that has its kernel's largest resident memory
PACKAGES = ("mea-lib", "torch", "torchvision", "numpy")


def run_facts(peak_mib: int | None = None) -> dict:
    """For a chapter's stamp, and from there into `metadata.mea.run` and onto the execution page.

    Args:
        peak_mib: largest resident memory of the chapter's kernel, where it is known.
    """
    facts = {"date": datetime.date.today().isoformat(), "machine": _machine(), "versions": _versions()}
    return facts | ({"peak_mib": peak_mib} if peak_mib else {})


def _versions() -> dict[str, str]:
    versions = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


@cache
def _machine() -> str:
    """Such as "2 x86_64 cores" or "2 x86_64 cores, NVIDIA T4"; never a host's name."""
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        gpus = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split(
            "\n"
        )
    except (OSError, subprocess.SubprocessError):
        gpus = []
    cores = f"{os.cpu_count()} {platform.machine()} cores"
    return ", ".join([cores, *sorted({gpu.strip() for gpu in gpus if gpu.strip()})])
