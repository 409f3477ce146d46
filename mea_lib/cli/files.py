"""Files that a command reads and writes: secrets for the owner alone, and checks before hours of work."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mea_lib.cli.report import note, usage
from mea_lib.files import check_file, read_text

if TYPE_CHECKING:
    from mea_lib.data import WatermarkKey


SECRET = 0o600  # the mode of a file that its owner alone can read


def ordinary_file(path: Path | None) -> Path | None:
    """Callback of every option that names a file: a usage error where there is something else of this name."""
    if path is not None and path.exists():
        with usage():
            check_file(path)
    return path


def new_file(path: Path | None) -> Path | None:
    """Callback of an option that names a file to write: better refused now than after the training."""
    with usage():
        check_writable(ordinary_file(path))
    return path


def new_model(path: Path | None) -> Path | None:
    """Callback of --out, which can only be the place of a model."""
    if new_file(path) is not None and path.suffix != ".safetensors":
        raise typer.BadParameter(f"must end in .safetensors, which {path} does not")
    return path


def check_writable(path: Path | None) -> None:
    """Check that a file of this name can be written.

    Raises:
        FileNotFoundError, ValueError: where it cannot.
    """
    if path is not None and not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent}; make it first")
    if path is not None and not os.access(path.parent, os.W_OK):
        raise ValueError(f"the folder {path.parent} cannot be written to")


def read_secret(path: Path) -> str:
    """Read a file that was written as SECRET, and say so where others can read it too."""
    if path.stat().st_mode & 0o077:
        note(f"{path} can be read by other users; chmod 600 {path}")
    return read_text(path).strip()


def read_key(path: Path, option: str = "--key") -> "WatermarkKey":
    """The watermark key of a file; a usage error where it is none."""
    from mea_lib.data import WatermarkKey

    with usage(option):
        text = read_secret(path)
        try:
            return WatermarkKey.from_json(text)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path}: {error}") from error
