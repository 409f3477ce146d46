"""Run one notebook as somebody does who has nothing else of the book, and say whether their packages stayed as they were.

It needs nothing of the book, only nbclient, which Colab's runtime has.
"""

import argparse
import importlib
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

KEPT = ("torch", "torchvision", "ipython", "ipykernel")  # a running notebook breaks when these are replaced


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 when a cell fails or a package was replaced."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebook", type=Path)
    parser.add_argument("--out", type=Path, help="where the executed notebook is written")
    options = parser.parse_args(arguments)

    before = versions(KEPT)
    notebook = nbformat.read(options.notebook, as_version=4)
    with tempfile.TemporaryDirectory() as empty:
        client = NotebookClient(
            notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": empty}}
        )
        try:
            client.execute()
        except CellExecutionError as error:
            print(error, file=sys.stderr)
            return 1
    if options.out:
        nbformat.write(notebook, options.out)
    importlib.invalidate_caches()
    after = versions(KEPT)
    print(f"before: {before}\nafter:  {after}")
    if before != after:
        print("the notebook replaced packages of the one who ran it", file=sys.stderr)
    return int(before != after)


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
