"""Why chapters run one a core: two trainings at once with one thread each, against one with two threads."""

import os
import statistics
import subprocess
import sys

CHILD = """
import sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
import mea_lib as mea
from benchmarks.training_step import ours
step = ours(mea.load("fashion-mnist", mea.preset("laptop")).owner)
step()
started = time.perf_counter()
for _ in range(int(sys.argv[2])):
    step()
print(time.perf_counter() - started)
"""


def measure(steps: int = 20, rounds: int = 3) -> dict:
    """Steps per second of all processes together, and the ratio."""
    ratios = []
    for _ in range(rounds):
        alone = steps / _run(1, 2, steps)
        together = 2 * steps / _run(2, 1, steps)
        ratios.append(together / alone)
    return {
        "cores": os.cpu_count(),
        "rounds": rounds,
        "two_processes_against_one_with_two_threads": round(statistics.median(ratios), 2),
        "least": round(min(ratios), 2),
        "largest": round(max(ratios), 2),
    }


def _run(processes: int, threads: int, steps: int) -> float:
    """Seconds of the slowest of so many processes."""
    command = [sys.executable, "-c", CHILD, str(threads), str(steps)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    return max(float(child.communicate()[0]) for child in children)
