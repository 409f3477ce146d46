"""The two files of a model, which belong together."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mea_lib.files import read_file
from mea_lib.model_files.card import MOST_BYTES, parse_card, read_card
from mea_lib.model_files.weights import Shapes, read_weights


@dataclass(frozen=True)
class ModelFiles:
    """The two files of a model.

    Attributes:
        weights: the .safetensors file.
        card: the .json file that describes it.
    """

    weights: Path
    card: Path

    @classmethod
    def at(cls, path: Path) -> "ModelFiles":
        """The files of this path, whatever its ending."""
        return cls(path.with_suffix(".safetensors"), path.with_suffix(".json"))

    @property
    def name(self) -> str:
        """The id for a model of the store, else the name of the copy."""
        return self.card.stem

    @property
    def bytes(self) -> int:
        """Size of both files that are there."""
        size = 0
        for path in (self.weights, self.card):
            with suppress(FileNotFoundError):
                size += path.stat().st_size
        return size

    def read_card(self) -> dict[str, Any]:
        """The card; ValueError where it is none, or another model's."""
        return read_card(self.card)

    def read(self, shapes: Callable[[dict[str, Any]], Shapes] | None = None) -> tuple[bytes, bytes]:
        """Both files as they belong together: the card's bytes, and the weights' bytes checked against it.

        A card is written last and removed first, so files that do not fit together are damaged only if their card
        is still the same file; else another process has replaced the model between the two reads, and they are
        read again.

        Args:
            shapes: of the tensors of the network that a card describes, which the weights must have.

        Raises:
            ValueError: for damaged files: their content is provably not what it should be.
            FileNotFoundError: where there is no card; a model without one is not there.
            OSError, MemoryError: as they come, with the file's name. They say nothing about the content.
        """
        while True:
            before = _same_file(self.card)
            content = read_file(self.card, MOST_BYTES)
            try:
                card = parse_card(content, self.card)
                expected = shapes(card) if shapes else None
                return content, read_weights(self.weights, card["weights_sha256"], expected)
            except FileNotFoundError as error:
                if _same_file(self.card) == before:
                    raise ValueError(
                        f"there is no file {self.weights}; a model is its .safetensors and its .json file"
                    ) from error
            except ValueError:
                if _same_file(self.card) == before:
                    raise

    def set_aside(self) -> None:
        """Rename the files that are there, so that the model is no longer; nothing is ever overwritten."""
        unique = secrets.token_hex(8)
        for path in (self.card, self.weights):
            with suppress(FileNotFoundError):
                os.rename(path, path.with_name(f"{path.name}.{unique}.damaged"))


def _same_file(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced, even by one like it; None where there is none."""
    with suppress(FileNotFoundError):
        status = path.stat()
        return status.st_ino, status.st_mtime_ns, status.st_size
    return None
