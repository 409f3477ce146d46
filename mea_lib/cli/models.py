"""Models that a command names: in the store by their id, or as two files that were copied out of it.

Looking at them needs no torch. Damaged files are reported and left as they are; only the store sets them aside.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mea_lib.cli.files import check_replaceable
from mea_lib.files import NewFile, write_together
from mea_lib.model_files import ModelFiles, store_folders

if TYPE_CHECKING:
    from torch import nn


def stored_ids() -> list[str]:
    """Ids of all models in the store's folders, in alphabetical order."""
    return sorted({path.stem for folder in store_folders() for path in folder.glob("*.json")})


def stored(identity: str) -> ModelFiles:
    """The files of the model with this whole id, in the first of the store's folders that has it."""
    places = [ModelFiles.at(folder / f"{identity}.json") for folder in store_folders()]
    return next((files for files in places if files.card.exists()), places[0])


def find_stored(beginning: str) -> ModelFiles:
    """The model of the store whose id begins so; ValueError where none does, or several do."""
    matches = [identity for identity in stored_ids() if identity.startswith(beginning)]
    if not matches:
        raise ValueError(f"no model in {folders_in_words()} begins with {beginning}; see mea store list")
    if len(matches) > 1:
        raise ValueError(f"{beginning} is the beginning of {', '.join(matches)}; give more of the id")
    return stored(matches[0])


def folders_in_words() -> str:
    """The store's folders for a reader; the first takes new models."""
    return " or ".join(map(str, store_folders()))


def find_model(reference: str) -> ModelFiles:
    """A model by its id in the store, by the id's unique beginning, or by the path of one of its files.

    Raises:
        ValueError: for a beginning that no model or several models have, or a file of another kind.
        FileNotFoundError: where one of the two files is missing.
    """
    if re.fullmatch(r"[0-9a-f]{1,16}", reference) and not Path(reference).exists():
        files = find_stored(reference)
    else:
        path = Path(reference)
        if path.suffix not in (".safetensors", ".json"):
            raise ValueError(
                f"{reference!r} is neither an id of the store (see mea store list) nor a path that ends in "
                ".safetensors or .json"
            )
        files = ModelFiles.at(path)
    for path in (files.weights, files.card):
        if not path.exists():
            raise FileNotFoundError(
                f"there is no file {path}; a model is its .safetensors and its .json file"
            )
    return files


def load_model(files: ModelFiles) -> "nn.Module":
    """Build the model its card describes, with its weights, on the best device and in evaluation mode.

    Raises:
        ValueError: for damaged files, or weights of another network.
    """
    from mea_lib.model_files import loading
    from mea_lib.training import best_device

    return loading.load_model(files).to(best_device())


def copy_model(files: ModelFiles, out: Path) -> None:
    """Copy both files; `out` names the .safetensors one. No copy is ever half there, or half of another one.

    Raises:
        ValueError: for damaged files, or where the card would take the place of a file that is none.
    """
    card, weights = files.read()
    check_replaceable(out)
    write_together([NewFile(out, weights), NewFile(out.with_suffix(".json"), card)], replace=True)


@dataclass(frozen=True)
class KeptModel:
    """A model that a command trained, or found in the store.

    Attributes:
        files: in the store.
        out: where they were copied to, or None.
        trained: whether it was not there before.
        seconds: that its training took, now or then.
    """

    files: ModelFiles
    out: Path | None
    trained: bool
    seconds: float

    @classmethod
    def of(cls, model: "nn.Module", ids_before: list[str], out: Path | None) -> Self:
        """Where a model from the store is; it is copied to `out`.

        Args:
            model: with its card.
            ids_before: of the models that were in the store before.
            out: of --out.
        """
        files = stored(model.card["id"])
        if out is not None:
            copy_model(files, out)
        return cls(files, out, files.name not in ids_before, model.card["seconds"])

    def values(self) -> dict[str, Any]:
        """Where it is, for JSON."""
        return {
            "model": self.files.name,
            "weights": str(self.files.weights),
            "card": str(self.files.card),
            "out": str(self.out) if self.out else None,
            "trained": self.trained,
            "seconds": self.seconds,
        }

    def rows(self) -> list[tuple[str, str]]:
        """The same for a reader."""
        how = f"trained in {self.seconds:g} s" if self.trained else "found in the store"
        rows = [("Model", f"{self.files.name} ({how})"), ("Weights", str(self.files.weights))]
        rows.append(("Card", str(self.files.card)))
        return rows + ([("Copy", str(self.out))] if self.out is not None else [])
