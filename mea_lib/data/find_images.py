"""Which files of a folder are images, and which are passed over and why."""

import os
import unicodedata
from pathlib import Path

from mea_lib.data.reading import Tally

ENDINGS = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".dib", ".gif", ".webp"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm"),
)
SYSTEM = ("__macosx", "__pycache__", "thumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found")

PASSED_OVER = "hidden or the system's own"
LEADS_NOWHERE = "link that leads nowhere"
NO_FILE = "no ordinary file"
LOOPS = "folder read already, reached again by a link"


def visible(folder: Path, left_out: dict[str, Tally], root: Path) -> list[Path]:
    """What a folder holds, in the order of its names, without what is hidden or the system's.

    Hidden are names that begin with a dot: .ipynb_checkpoints, .DS_Store, and ._x.png, which macOS writes
    beside x.png.

    Args:
        folder: to look into.
        left_out: counts what is passed over.
        root: to which the names in it are relative.
    """
    images = []
    for child in sorted(folder.iterdir(), key=lambda path: plain_name(path.name)):
        if child.name.startswith(".") or child.name.lower() in SYSTEM:
            Tally.count(left_out, PASSED_OVER, str(child.relative_to(root)))
        elif not child.exists():
            Tally.count(left_out, LEADS_NOWHERE, str(child.relative_to(root)))
        else:
            images.append(child)
    return images


def find_images(folder: Path, left_out: dict[str, Tally], root: Path) -> list[Path]:
    """All image files in a folder and its subfolders, told by their endings in whatever case.

    Args: as `visible`.
    """
    return _find(folder, left_out, root, set())


def plain_name(name: str) -> str:
    """A name in Unicode's normal form C, so that é is the same letter from every system."""
    return unicodedata.normalize("NFC", name)


def _find(folder: Path, left_out: dict[str, Tally], root: Path, seen: set[str]) -> list[Path]:
    real = os.path.realpath(folder)
    if real in seen:
        Tally.count(left_out, LOOPS, str(folder.relative_to(root)))
        return []
    seen.add(real)
    files = []
    for child in visible(folder, left_out, root):
        if child.is_dir():
            files += _find(child, left_out, root, seen)
        elif not child.is_file():
            Tally.count(left_out, NO_FILE, str(child.relative_to(root)))
        elif child.suffix.lower() in ENDINGS:
            files.append(child)
        else:
            reason = f"ending {child.suffix.lower()}" if child.suffix else "no ending"
            Tally.count(left_out, f"{reason}, which is no image's that is read", str(child.relative_to(root)))
    return files
