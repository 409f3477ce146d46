"""Make what is published: the site, the package beside it, notebooks that install it, and the files of a release."""

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import nbformat
import site_pages
from publishing.address import Address, find_address
from publishing.packages import build_packages
from publishing.plain_markdown import plain
from publishing.release import make_release
from publishing.stamps import stamp_citation, stamp_notebook
from read_book import stored_claims

ROOT = Path(__file__).resolve().parent.parent
FIRST_WORDS = """\
# The chapters, for Colab and Kaggle

This branch is generated from {address.repository} at {address.commit}. Its notebooks install the package by
themselves, and are what the buttons of the book open. Edit those of the main branch.
"""


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 when there is no address or the pages have errors."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--notebooks", type=Path, default=ROOT / "notebooks", help="folder of the chapters")
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "publish", help="folder for what is made"
    )
    options = parser.parse_args(arguments)

    address = find_address(ROOT)
    if address is None:
        print(
            "nothing says where the book is published: run this in a clone whose remote `origin` is on the web, or "
            "set GITHUB_SERVER_URL and GITHUB_REPOSITORY",
            file=sys.stderr,
        )
        return 1
    return publish(sorted(options.notebooks.glob("*.ipynb")), options.out, address)


def publish(notebooks: list[Path], out: Path, address: Address) -> int:
    """Make everything in `out`, from nothing; the exit status."""
    for name in ("packages", "release", "colab"):
        shutil.rmtree(out / name, ignore_errors=True)
    wheel, sources = build_packages(ROOT, out / "packages", address)
    address = replace(address, wheel=wheel.name)

    chapters = {path.stem: nbformat.read(path, as_version=4) for path in notebooks}
    index = site_pages.render(ROOT, out, stored_claims(chapters.values()), chapters, address)
    if index is None:
        return 1
    html = index.parent
    (html / address.wheel_folder).mkdir(parents=True)
    shutil.copy(wheel, html / address.wheel_folder)
    citation = stamp_citation((ROOT / "CITATION.cff").read_text(encoding="utf-8"), address)
    (html / "CITATION.cff").write_text(citation, encoding="utf-8")

    colab = out / "colab"
    (colab / "notebooks").mkdir(parents=True)
    for name, chapter in chapters.items():
        opened = plain(stamp_notebook(chapter, address), ROOT / "book" / "references.bib", address.site)
        # What the buttons open, and what a page offers for download.
        for folder in (colab / "notebooks", html / "_sources" / "notebooks"):
            nbformat.write(opened, folder / f"{name}.ipynb")
    (colab / "README.md").write_text(FIRST_WORDS.format(address=address), encoding="utf-8")
    shutil.copy(ROOT / "LICENSE", colab)

    make_release(html, [wheel, sources], out / "release")
    print(
        f"The site is in {html}, the notebooks of Colab in {colab}, the files of a release in {out / 'release'}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
