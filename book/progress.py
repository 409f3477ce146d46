"""What runs, how long it should take, how long is left: a line a minute, with a terminal or without one."""

import heapq
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat

SECONDS_BEFORE_THE_FIRST = 10  # by then chapters that are kept have been found
SECONDS_BETWEEN_LINES = 60
MEASURED_AT = "laptop"  # the scale of `mea.minutes` in a notebook's metadata


class Progress:
    """Follows chapters that run side by side, longest first. Safe with several threads.

    Args:
        weights: seconds each chapter should take, or at another scale than they were measured at, in proportion.
        are_seconds: whether the weights are seconds; if not, nothing is predicted until one chapter has finished.
        workers: how many run at once.
        clock: seconds from any start.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        are_seconds: bool,
        workers: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._weights, self._are_seconds, self._workers, self._clock = weights, are_seconds, workers, clock
        self._begun = clock()
        self._running: dict[str, float] = {}  # name: when it started
        self._took: dict[str, float] = {}  # name: seconds
        self._kept: set[str] = set()
        self._guard = threading.Lock()
        self._end = threading.Event()

    def __enter__(self) -> "Progress":
        threading.Thread(target=self._speak, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()

    def started(self, name: str) -> None:
        """Say that a chapter has begun, and how long it should take."""
        with self._guard:
            self._running[name] = now = self._clock()
            factor = self._factor(now)
        expected = "" if factor is None else f", about {_words(self._weights[name] * factor)}"
        print(f"{name}: started{expected}", flush=True)

    def kept(self, name: str) -> None:
        """Say that a chapter need not run."""
        with self._guard:
            self._kept.add(name)
        print(f"{name}: unchanged, kept", flush=True)

    def ended(self, name: str) -> float:
        """Note that a chapter has ended, well or not; the seconds it took."""
        with self._guard:
            self._took[name] = self._clock() - self._running.pop(name)
            return self._took[name]

    def line(self) -> str:
        """What runs and what is left, as one line."""
        with self._guard:
            now = self._clock()
            factor = self._factor(now)
            done = len(self._took) + len(self._kept)
            running = []
            for name, since in self._running.items():
                of = "" if factor is None else f" of about {_words(self._weights[name] * factor)}"
                running.append(f"{name} ({_words(now - since)}{of})")
            left = "" if factor is None else f"; about {_words(self._left(now, factor))} left"
        names = ", ".join(running) or "none"
        elapsed = _words(now - self._begun)
        return f"after {elapsed}: {done} of {len(self._weights)} chapters done, running {names}{left}"

    def _factor(self, now: float) -> float | None:
        """Seconds here for a weight of one, from what has finished so far; None where that is not known.

        What runs for longer than it should counts as if it ended now, so that a slow machine is noticed early.
        """
        factor = self._ratio(self._took) or (1.0 if self._are_seconds else None)
        if factor is None:
            return None
        running = {name: now - since for name, since in self._running.items()}
        late = {name: took for name, took in running.items() if took > self._weights[name] * factor}
        return self._ratio(self._took | late) or factor

    def _ratio(self, took: Mapping[str, float]) -> float:
        """Seconds for a weight of one among these chapters; 0 where there is none."""
        weight = sum(self._weights[name] for name in took)
        return sum(took.values()) / weight if weight else 0.0

    def _left(self, now: float, factor: float) -> float:
        """Seconds until the last chapter ends when each free worker takes the longest that waits."""
        busy = [
            max(self._weights[name] * factor - (now - since), 0.0) for name, since in self._running.items()
        ]
        free_at = busy + [0.0] * max(self._workers - len(busy), 0)
        heapq.heapify(free_at)
        ended = {*self._took, *self._kept, *self._running}
        for weight in sorted((w for name, w in self._weights.items() if name not in ended), reverse=True):
            heapq.heapreplace(free_at, free_at[0] + weight * factor)
        return max(free_at)

    def _speak(self) -> None:
        wait = SECONDS_BEFORE_THE_FIRST
        while not self._end.wait(wait):
            print(self.line(), flush=True)
            wait = SECONDS_BETWEEN_LINES


def expectations(notebooks: list[Path], scale: str) -> tuple[dict[str, float], bool]:
    """Weights of the chapters for `Progress`, and whether they are seconds at this scale.

    A notebook's metadata has `mea.seconds`, by scale, from the last refresh that began with an empty store, and
    `mea.minutes`, which its authors expect at laptop scale. One that has neither counts as a minute.
    """
    known = {path.stem: nbformat.read(path, as_version=4).metadata.get("mea", {}) for path in notebooks}
    measured = {name: mea.get("seconds", {}).get(scale) for name, mea in known.items()}
    if all(measured.values()):
        return measured, True
    expected = {name: 60.0 * mea.get("minutes", 1) for name, mea in known.items()}
    return expected, scale == MEASURED_AT and all("minutes" in mea for mea in known.values())


def _words(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
