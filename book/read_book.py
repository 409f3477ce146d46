"""Render the book from the outputs stored in the notebooks, without running anything."""

import argparse
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import nbformat
import site_pages
from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 when the pages have errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notebooks", type=Path, default=ROOT / "notebooks", help="folder of the chapters")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "read", help="folder for what is made")
    options = parser.parse_args(arguments)

    notebooks = sorted(options.notebooks.glob("*.ipynb"))
    if not notebooks:
        print(
            f"there is no notebook in {options.notebooks}; name the folder of the chapters", file=sys.stderr
        )
        return 1
    print(f"rendering {len(notebooks)} chapters with their stored outputs, about half a minute", flush=True)
    chapters = {path.stem: nbformat.read(path, as_version=4) for path in notebooks}
    index = site_pages.render(ROOT, options.out, stored_claims(chapters.values()), chapters)
    if index is None:
        return 1
    print(f"The book is at {index}")
    return 0


def stored_claims(chapters: Iterable[NotebookNode]) -> list[Mapping]:
    """The claims that came with the stored outputs, chapter by chapter."""
    return [claim for chapter in chapters for claim in chapter.metadata.get("mea", {}).get("claims", [])]


if __name__ == "__main__":
    sys.exit(main())
