"""One file from the internet: checked, shown while it comes, and never half there."""

import hashlib
import sys
import time
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from tqdm import tqdm

from mea_lib.data.reachable import check_reachable
from mea_lib.files import replacing

READ_SECONDS = 20  # without a byte
PART = 1 << 18


def download(urls: Sequence[str], target: Path, md5: str) -> None:
    """Fetch a file from the first server that gives it whole.

    Args:
        urls: addresses of the same file.
        target: where it is put once it is whole.
        md5: checksum of the file.

    Raises:
        OSError: where no server gave it; says why for each.
    """
    failures = []
    for url in urls:
        try:
            check_reachable(url)
            return _fetch(url, target, md5)
        except (OSError, ValueError, HTTPException) as error:
            failures.append(f"{urlsplit(url).hostname}: {str(error) or type(error).__name__}")
    raise OSError("; ".join(failures))


def _fetch(url: str, target: Path, md5: str) -> None:
    digest, started = hashlib.md5(usedforsecurity=False), time.monotonic()
    # tqdm is silent without a terminal, where two lines say the same
    with (
        replacing(target) as partial,
        urlopen(Request(url, headers={"User-Agent": "mea-lib"}), timeout=READ_SECONDS) as answer,
    ):
        length = answer.length or 0
        _line(f"{target.name}: fetching {length / 1e6:.1f} MB from {urlsplit(url).hostname}")
        with (
            open(partial, "wb") as file,
            tqdm(total=length, desc=target.name, unit="B", unit_scale=True, disable=None) as bar,
        ):
            while part := answer.read(PART):
                file.write(part)
                digest.update(part)
                bar.update(len(part))
        if digest.hexdigest() != md5:
            raise ValueError("what came is not the file that was asked for: its checksum is another")
    _line(f"{target.name}: there after {time.monotonic() - started:.0f} s")


def _line(text: str) -> None:
    if not sys.stderr.isatty():
        print(text, file=sys.stderr, flush=True)
