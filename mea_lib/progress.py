"""Whether somebody sees a progress bar."""

import os
import sys


def is_watched() -> bool:
    """True on a terminal, and in a notebook that a person runs; `make book`, which stores outputs, sets MEA_CLAIMS_DIR."""
    return sys.stderr.isatty() or ("ipykernel" in sys.modules and "MEA_CLAIMS_DIR" not in os.environ)
