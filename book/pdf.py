"""The whole book as one PDF with bookmarks, printed by Chromium from the rendered site."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from files import write_whole
from one_page import one_page

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
SECONDS_AT_MOST = 900
# Chromium's own clock, which runs ahead while nothing is left to do: time for formulas to be set.
MILLISECONDS_TO_SET = 120_000


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 when there is nothing to print, or nothing to print with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--out", type=Path, default=ROOT / "build" / "read", help="folder with the site in html/"
    )
    out = parser.parse_args(arguments).out.resolve()

    site = out / "html"
    if not (site / "book" / "index.html").exists():
        print(f"there is no rendered book in {site}; run: make read", file=sys.stderr)
        return 1
    program = chromium()
    if program is None:
        print(
            "a PDF is printed by Chromium; on Debian and Ubuntu run: sudo apt-get install chromium",
            file=sys.stderr,
        )
        return 1
    toc = yaml.safe_load((ROOT / "book" / "_toc.yml").read_text(encoding="utf-8"))
    title = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["title"]
    page, pdf = out / "whole_book.html", out / "mea-defender.pdf"
    write_whole(page, one_page(site, toc, title, "html"))
    print("printing the book, about a minute", flush=True)
    if not print_page(program, page, pdf):
        return 1
    print(f"The book is at {pdf}")
    return 0


def chromium() -> str | None:
    """Path of the first Chromium that is found, under any of its names."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


def print_page(program: str, page: Path, pdf: Path) -> bool:
    """Print one page to `pdf`, with an outline from its headings; whether that worked, and if not it is said."""
    made = pdf.with_suffix(".part.pdf")
    profile = pdf.with_suffix(".profile")
    command = [program, "--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    command += [f"--user-data-dir={profile}", "--no-pdf-header-footer", "--generate-pdf-document-outline"]
    command += [f"--virtual-time-budget={MILLISECONDS_TO_SET}", f"--print-to-pdf={made}", "--no-sandbox"]
    try:
        done = subprocess.run(
            [*command, page.as_uri()], capture_output=True, text=True, check=False, timeout=SECONDS_AT_MOST
        )
        if done.returncode or not made.exists():
            print(
                done.stderr[-2000:],
                "Chromium could not print the book, as shown above",
                sep="\n",
                file=sys.stderr,
            )
            return False
        made.replace(pdf)
        return True
    except subprocess.TimeoutExpired:
        print(
            f"Chromium did not finish within {SECONDS_AT_MOST} s; run the same command again", file=sys.stderr
        )
        return False
    finally:
        made.unlink(missing_ok=True)
        shutil.rmtree(profile, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
