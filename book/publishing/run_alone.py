"""Run one notebook as somebody does who has nothing else of the book, and say whether their packages stayed as they were.

It needs nothing of the book: only what a notebook server has, such as Colab's runtime.
"""

import argparse
import importlib
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

KEPT = ("torch", "torchvision", "ipython", "ipykernel")  # a running notebook breaks when these are replaced


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 when a cell fails or a package was replaced."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--out", type=Path, help="where the executed notebook is written")
    options = parser.parse_args(arguments)

    before = versions(KEPT)
    with tempfile.TemporaryDirectory() as empty:
        written = (options.out or Path(empty) / "executed.ipynb").resolve()
        command = [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute"]
        command += ["--ExecutePreprocessor.timeout=1800", "--ExecutePreprocessor.kernel_name=python3"]
        command += ["--output-dir", str(written.parent), "--output", written.name]
        # The kernel runs where the notebook lies.
        notebook = Path(empty) / options.notebook.name
        notebook.write_bytes(options.notebook.read_bytes())
        executed = subprocess.run([*command, str(notebook)], cwd=empty, check=False).returncode
    importlib.invalidate_caches()
    after = versions(KEPT)
    print(f"before: {before}\nafter:  {after}")
    if before != after:
        print("the notebook replaced packages of the one who ran it", file=sys.stderr)
    return int(bool(executed) or before != after)


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """The installed versions by name, "–" for what is not there."""
    found = {}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "–"
    return found


if __name__ == "__main__":
    sys.exit(main())
