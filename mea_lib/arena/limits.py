"""What an entry's process may take of the machine."""

import os
import resource
from contextlib import suppress

import psutil
import torch

LEAST_MEMORY = 8 * 2**30  # address space: torch, its threads and small models in training take 2 to 5 GiB
MEMORY_FOR_A_CORE = 128 * 2**20  # what the allocators of two threads reserve, most of it never touched
PROCESSES = 512  # more than the user has when the entry starts, threads among them
FILE_SIZE = 2**30


def entry_limits() -> dict[str, int]:
    """Limits of an entry's process and of each that it starts, by their names in `resource`.

    RLIMIT_AS: half of the machine's memory and a share for every core, at least LEAST_MEMORY. With a GPU there is
    none, since CUDA reserves more addresses than any machine has memory.
    RLIMIT_NPROC: the system counts all processes and threads of a user, so PROCESSES come on top of those that run
    now. It does not bind root.
    RLIMIT_FSIZE: FILE_SIZE bytes in one file.
    RLIMIT_CORE: no core files.
    """
    limits = {
        "RLIMIT_NPROC": _threads_of_this_user() + PROCESSES,
        "RLIMIT_FSIZE": FILE_SIZE,
        "RLIMIT_CORE": 0,
    }
    if not torch.cuda.is_available():
        half = psutil.virtual_memory().total // 2
        limits["RLIMIT_AS"] = max(LEAST_MEMORY, half) + MEMORY_FOR_A_CORE * (os.cpu_count() or 1)
    return {name: value for name, value in limits.items() if hasattr(resource, name)}


def _threads_of_this_user() -> int:
    threads = 0
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.uids().real == os.getuid():
                threads += process.num_threads()
    return threads
