"""What a release hands out: the whole site in one file, the package, and checksums of both."""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path


def make_release(html: Path, packages: Sequence[Path], folder: Path) -> list[Path]:
    """Put the site as a zip file, the packages and `SHA256SUMS` into the new folder; the paths.

    Args:
        html: folder of the rendered site.
        packages: files that are handed out as they are.
        folder: for the copies.
    """
    folder.mkdir(parents=True)
    site = shutil.make_archive(str(folder / "mea-defender-book"), "zip", html)
    files = [Path(site), *(Path(shutil.copy(package, folder)) for package in packages)]
    sums = folder / "SHA256SUMS"
    sums.write_text("".join(f"{_sha256(file)}  {file.name}\n" for file in files), encoding="utf-8")
    return [*files, sums]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
