"""The scripts behind `make book` and the chapters made for these tests can be imported by name."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent.parent / "book"), str(HERE)]
