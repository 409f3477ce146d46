"""Files that a command reads and writes: secrets for the owner alone, and checks before hours of work."""

import os
from collections.abc import Iterable
from itertools import combinations, product
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from mea_lib.cli.report import note, usage
from mea_lib.files import check_file, read_text
from mea_lib.model_files import ModelFiles

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
    """Callback of --out, which can only be the place of a model, or of one that it replaces."""
    if new_file(path) is not None and path.suffix != ".safetensors":
        raise typer.BadParameter(f"must end in .safetensors, which {path} does not")
    if path is not None:
        with usage():
            check_replaceable(path)
    return path


def check_replaceable(out: Path) -> None:
    """Check that a model can be copied to `out`: beside it is no file, or the card of a model.

    Raises:
        ValueError: for another file in the card's place, such as a key; it would be lost.
    """
    files = ModelFiles.at(out)
    if files.card.exists():
        try:
            files.read_card()
        except ValueError as error:
            raise ValueError(
                f"the model's card would take the place of {files.card}, and that is no card of a model; "
                "name another file"
            ) from error


Named = tuple[str, Path | None]  # an option, and the file that it names


def files_of_model(option: str, reference: str | Path | None) -> list[Named]:
    """The files of a model that an option names by a path; of an id of the store none."""
    if reference is None or Path(reference).suffix not in (".safetensors", ".json"):
        return [] if reference is None else [(option, Path(reference))]
    files = ModelFiles.at(Path(reference))
    return [(option, files.weights), (option, files.card)]


def check_apart(written: Iterable[Named], kept: Iterable[Named]) -> None:
    """A usage error where a file that is written is another one that is written, or one that is kept."""
    written = [(option, path) for option, path in written if path is not None]
    kept = [(option, path) for option, path in kept if path is not None]
    for (option, path), (other, taken) in [*combinations(written, 2), *product(written, kept)]:
        if option != other and _same(path, taken):
            raise typer.BadParameter(
                f"{path} is what {other} names, and would be written over; name another file",
                param_hint=option,
            )


def _same(one: Path, other: Path) -> bool:
    if one.exists() and other.exists():
        return one.samefile(other)
    return one.resolve() == other.resolve()


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
