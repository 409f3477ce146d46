"""Models on disk: in the store by their id, or as two files that were copied out of it.

Looking at them needs no torch. Damaged files are reported and left as they are; only the store sets them aside.
"""

import hashlib
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mea_lib.files import read_file

if TYPE_CHECKING:
    from torch import nn

LARGEST_MODEL = 8 * 2**30  # bytes of a file of weights
# Endings of files that other programs write, which `mea_lib.blackbox.as_suspect` reads; a test holds them equal.
FOREIGN = (".onnx", ".pt", ".pth", ".ts", ".torchscript")


@dataclass(frozen=True)
class ModelFiles:
    """The two files of a model.

    Attributes:
        weights: the .safetensors file.
        card: the .json file that describes it.
    """

    weights: Path
    card: Path

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
        """The card; ValueError where it is none that a store has written."""
        return self._card(read_file(self.card))

    def _card(self, content: bytes) -> dict[str, Any]:
        try:
            card = json.loads(content)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{self.card} is not JSON ({error}); copy the model again") from error
        if (
            not isinstance(card, dict)
            or not {"id", "made", "spec", "weights_sha256"} <= card.keys()
            or not isinstance(card["spec"], dict)
        ):
            raise ValueError(f"{self.card} is not the card of a model as the store writes it")
        return card

    def read(self) -> tuple[bytes, bytes]:
        """Both files as they belong together: the card's bytes, and the weights' bytes checked against it.

        A card is written last and removed first, so files that do not fit together are damaged only if their card
        is still the same file; else another process has replaced the model between the two reads, and they are
        read again.

        Raises:
            ValueError: for damaged files.
            FileNotFoundError: where there is no card, or no weights beside it.
        """
        while True:
            before = _same_file(self.card)
            card = read_file(self.card)
            try:
                return card, self._weights(self._card(card)["weights_sha256"])
            except (ValueError, FileNotFoundError):
                if _same_file(self.card) == before:
                    raise

    def _weights(self, sha256: str) -> bytes:
        weights = read_file(self.weights, LARGEST_MODEL)
        if hashlib.sha256(weights).hexdigest() != sha256:
            raise ValueError(
                f"{self.weights} does not hold the weights that {self.card.name} describes; "
                "copy the model again, or remove it and let it be trained again"
            )
        return weights


def _same_file(path: Path) -> tuple[int, ...] | None:
    """What changes when a file is replaced, even by one like it; None where there is none."""
    with suppress(FileNotFoundError):
        found = path.stat()
        return found.st_ino, found.st_mtime_ns, found.st_size
    return None


def store_folder() -> Path:
    """The folder of `mea_lib.training.default_store`, found without torch."""
    return Path(os.environ.get("MEA_STORE") or Path.home() / ".cache" / "mea-defender" / "store")


def stored_ids() -> list[str]:
    """Ids of all models in the store, in alphabetical order."""
    return sorted(path.stem for path in store_folder().glob("*.json"))


def stored(identity: str) -> ModelFiles:
    """The files of the model of the store with this whole id."""
    return ModelFiles(*(store_folder() / f"{identity}.{ending}" for ending in ("safetensors", "json")))


def find_stored(beginning: str) -> ModelFiles:
    """The model of the store whose id begins so; ValueError where none does, or several do."""
    matches = [identity for identity in stored_ids() if identity.startswith(beginning)]
    if not matches:
        raise ValueError(f"no model in {store_folder()} begins with {beginning}; see mea store list")
    if len(matches) > 1:
        raise ValueError(f"{beginning} is the beginning of {', '.join(matches)}; give more of the id")
    return stored(matches[0])


def find_model(reference: str) -> ModelFiles:
    """A model by its id in the store, by the id's unique beginning, or by the path of one of its files.

    Raises:
        ValueError: for a beginning that no model or several models have, or a file of another kind.
        FileNotFoundError: where one of the two files is missing.
    """
    if re.fullmatch(r"[0-9a-f]{1,16}", reference) and not Path(reference).exists():
        found = find_stored(reference)
    else:
        path = Path(reference)
        if path.suffix not in (".safetensors", ".json"):
            raise ValueError(
                f"{reference!r} is neither an id of the store (see mea store list) nor a path that ends in "
                ".safetensors or .json"
            )
        found = ModelFiles(path.with_suffix(".safetensors"), path.with_suffix(".json"))
    for path in (found.weights, found.card):
        if not path.exists():
            raise FileNotFoundError(
                f"there is no file {path}; a model is its .safetensors and its .json file"
            )
    return found


def load_model(files: ModelFiles) -> "nn.Module":
    """Build the model its card describes, with its weights, on the best device and in evaluation mode.

    Raises:
        ValueError: for damaged files, or weights of another network.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    from mea_lib.models import build_from_spec
    from mea_lib.training import best_device

    content, weights = files.read()
    try:
        card = json.loads(content)
        model = build_from_spec(card["spec"])
        model.load_state_dict(load(weights))
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError) as error:
        raise ValueError(f"{files.card} and its weights do not make a model: {error}") from error
    model.card = card
    return model.eval().to(best_device())


def copy_model(files: ModelFiles, out: Path) -> None:
    """Copy both files; `out` names the .safetensors one. No copy is ever half there, or half of another one.

    Raises:
        ValueError: for damaged files.
    """
    from mea_lib.files import NewFile, write_together

    card, weights = files.read()
    write_together([NewFile(out, weights), NewFile(out.with_suffix(".json"), card)], replace=True)
