"""What an entry prints, passed on to the judge's screen: so much of it, and nothing that a terminal would obey."""

import sys
import threading
from typing import BinaryIO

from mea_lib.arena.entry import one_line

MOST_LINES = 200
LONGEST_LINE = 1_000  # bytes


def pass_on(stream: BinaryIO) -> threading.Thread:
    """Print what comes from a pipe on stderr, line by line, in a thread that ends with the pipe.

    Beyond MOST_LINES lines it is read and thrown away, so that the entry neither fills the screen nor stands still.
    """
    thread = threading.Thread(target=_pass_on, args=(stream, sys.stderr), daemon=True)
    thread.start()
    return thread


def _pass_on(stream: BinaryIO, screen: object) -> None:
    with stream:
        for number, line in enumerate(iter(lambda: stream.readline(LONGEST_LINE), b"")):
            if number < MOST_LINES:
                print(one_line(line.decode(errors="replace"), LONGEST_LINE), file=screen)
            elif number == MOST_LINES:
                print(f"the entry prints more than {MOST_LINES} lines; the rest is left out", file=screen)
