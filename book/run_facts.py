"""What belongs to the outputs of a run besides its figures: the day, the machine, the versions."""

import datetime
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

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
    """Such as "2 x86_64 cores (avx512_bf16), NVIDIA T4"; never a host's name.

    What multiplies in bfloat16 is said, since equal seeds train other models where that differs.
    """
    command = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    try:
        gpus = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout.split(
            "\n"
        )
    except (OSError, subprocess.SubprocessError):
        gpus = []
    cores = f"{os.cpu_count()} {platform.machine()} cores{_bfloat16()}"
    return ", ".join([cores, *sorted({gpu.strip() for gpu in gpus if gpu.strip()})])


def _bfloat16() -> str:
    """Such as " (amx_bf16, avx512_bf16)": what a Linux processor has for products in bfloat16."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return ""
    found = sorted({flag for flag in flags if flag.endswith("bf16")})
    return f" ({', '.join(found)})" if found else ""
