"""Ways to do the same step, timed side by side: they take turns, so that a busy machine is busy for each."""

import time
from collections.abc import Callable

Step = Callable[[], None]


def in_turns(ways: dict[str, Step], steps: int, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of a step in each way, a number for every round; a first step of each is not counted."""
    for step in ways.values():
        step()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, step in ways.items():
            started = time.process_time()
            for _ in range(steps):
                step()
            seconds[name].append((time.process_time() - started) / steps)
    return seconds
