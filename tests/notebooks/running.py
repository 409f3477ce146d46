"""How the tests of this folder run chapters."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in CHAPTERS]


def run_driver(options, environment, log):
    """Run `make book`'s program; what it said is in the report of a test that fails, also of one that never ends."""
    command = [sys.executable, str(ROOT / "book" / "make_book.py"), *options]
    try:
        with log.open("w") as said:
            both = {"stdout": said, "stderr": subprocess.STDOUT}
            finished = subprocess.run(command, **both, env=environment, check=False)
    finally:
        print(log.read_text())
    assert finished.returncode == 0
