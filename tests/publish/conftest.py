"""The scripts that publish the book, and the stand-in for the place it is published at, can be imported by name."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent.parent / "book"), str(HERE)]
