"""A server's log that its clients cannot fill: of each warning so many lines a minute, then how many more there were."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

LINES_A_MINUTE = 60
# Those whose lines a client can cause, each one by one.
LOGGERS = ("asyncio", "uvicorn.error", "mea_lib.serving.inference")


class LogLimit(logging.Filter):
    """Holds warnings and errors back that one place in the code writes too often.

    The first line of the next minute says how many were held back before it.

    Args:
        lines: of one place in a minute.
        clock: seconds.
    """

    def __init__(self, lines: int = LINES_A_MINUTE, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._lines = lines
        self._clock = clock
        self._minute = clock() // 60
        self._now: Counter[tuple[str, int]] = Counter()
        self._before: Counter[tuple[str, int]] = Counter()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this line is written."""
        if record.levelno < logging.WARNING:
            return True
        if self._minute != (minute := self._clock() // 60):
            self._minute, self._now, self._before = minute, Counter(), self._now
        place = (record.pathname, record.lineno)
        self._now[place] += 1
        held_back = self._before.pop(place, 0) - self._lines
        if held_back > 0:
            record.msg = f"{record.getMessage()} (and {held_back} more lines like it, which were left out)"
            record.args = ()
        return self._now[place] <= self._lines


@contextmanager
def limited_logs() -> Iterator[None]:
    """Limits the logs of a server that runs inside the block."""
    limit = LogLimit()
    loggers = [logging.getLogger(name) for name in LOGGERS]
    for logger in loggers:
        logger.addFilter(limit)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(limit)
