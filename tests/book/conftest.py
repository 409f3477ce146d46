"""The scripts behind `make book`, the Sphinx extensions and the chapters made for these tests are imported by name."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
BOOK = HERE.parent.parent / "book"
sys.path[:0] = [str(BOOK), str(BOOK / "_ext"), str(HERE)]
