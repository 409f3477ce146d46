"""Render the book from the outputs stored in the notebooks, without running anything."""

import argparse
import sys
from pathlib import Path

import site_pages
from stored_outputs import stored_claims

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
    index = site_pages.render(ROOT, options.out, stored_claims(notebooks), notebooks)
    if index is None:
        return 1
    print(f"The book is at {index}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
