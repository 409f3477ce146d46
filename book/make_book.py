"""Make the book: run every chapter, check every claim, render the site."""

import argparse
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import chapters
import site_pages
import stored_outputs

ROOT = Path(__file__).resolve().parent.parent
SCALES = ("smoke", "laptop", "colab", "paper")
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit status: 0, or 1 when a chapter fails, a claim does not hold or the site has errors.

    A claim that does not hold is shown on the site, which is rendered all the same; 130 after an interruption.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", default="laptop", choices=SCALES, help="how much is trained")
    parser.add_argument("--notebooks", type=Path, default=ROOT / "notebooks", help="folder of the chapters")
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="folder for all that is made")
    parser.add_argument(
        "--workers", type=int, default=None, help="chapters run at once; one a core by default"
    )
    parser.add_argument(
        "--only", default="", help="run only chapters whose file name starts so, without the site"
    )
    parser.add_argument("--no-site", action="store_true", help="run the chapters only")
    parser.add_argument("--refresh", action="store_true", help="store the outputs in the notebooks folder")
    options = parser.parse_args(arguments)

    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    try:
        return make(options)
    except KeyboardInterrupt:
        print("interrupted; what was finished is kept, the same command goes on from there", file=sys.stderr)
        return INTERRUPTED


def make(options: argparse.Namespace) -> int:
    """Do what the options say; the exit status."""
    started = time.perf_counter()
    out = options.out
    notebooks = sorted(options.notebooks.glob(f"{options.only}*.ipynb"))
    if not notebooks:
        print(f"no chapter in {options.notebooks} starts with {options.only!r}", file=sys.stderr)
        return 1
    if not chapters.fetch_data(notebooks, out, options.scale):
        print("the data are not there, so no chapter was started; the reason is above", file=sys.stderr)
        return 1
    digests = chapters.run_all(notebooks, out, options.scale, options.workers)
    claims = chapters.collect_claims(out, digests)
    failed = [name for name, digest in digests.items() if digest is None]
    broken = [] if options.scale == "smoke" else [claim for claim in claims if not claim["holds"]]
    for name in failed:
        print(f"failed: chapter {name}; the end of its log is above", file=sys.stderr)
    for claim in broken:
        print(
            f"does not hold: {claim['id']}: {claim['claim']} (measured {claim['measured']}, rule: {claim['rule']})",
            file=sys.stderr,
        )
    if failed or _overtaken(out, digests):
        return 1
    edited = stored_outputs.store_outputs(notebooks, out) if options.refresh and not broken else []
    if not options.no_site and not options.only:
        print("rendering the pages, about half a minute", flush=True)
        pages = {path.stem: stored_outputs.page_of(path, out) for path in notebooks}
        index = site_pages.render(ROOT, out, claims, pages)
        if index is None or _overtaken(out, digests):
            return 1
        print(f"The book is at {index}")
    print(
        f"{len(claims)} claims checked at scale {options.scale}, {time.perf_counter() - started:.0f} s in all"
    )
    return 1 if broken or edited else 0


def _overtaken(out: Path, digests: Mapping[str, str | None]) -> bool:
    """Whether another process has replaced what this one is about; it is said."""
    names = chapters.overtaken(out, digests)
    if names:
        print(
            f"another process has meanwhile run {', '.join(names)} at another scale or from other code; "
            "run the same command again when it has ended, or name another folder with --out",
            file=sys.stderr,
        )
    return bool(names)


if __name__ == "__main__":
    sys.exit(main())
