"""Models that a command names: in the store by their id, or as two files that were copied out of it.

Looking at them needs no torch. Damaged files are reported and left as they are; only the store sets them aside.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mea_lib.model_files import ModelFiles, store_folders

if TYPE_CHECKING:
    from torch import nn

# Endings of files that other programs write, which `mea_lib.blackbox.as_suspect` reads; a test holds them equal.
FOREIGN = (".onnx", ".pt", ".pth", ".ts", ".torchscript")


def stored_ids() -> list[str]:
    """Ids of all models in the store's folders, in alphabetical order."""
    return sorted({path.stem for folder in store_folders() for path in folder.glob("*.json")})


def stored(identity: str) -> ModelFiles:
    """The files of the model with this whole id, in the first of the store's folders that has it."""
    found = [ModelFiles.at(folder / f"{identity}.json") for folder in store_folders()]
    return next((files for files in found if files.card.exists()), found[0])


def find_stored(beginning: str) -> ModelFiles:
    """The model of the store whose id begins so; ValueError where none does, or several do."""
    matches = [identity for identity in stored_ids() if identity.startswith(beginning)]
    if not matches:
        raise ValueError(f"no model in {said_folders()} begins with {beginning}; see mea store list")
    if len(matches) > 1:
        raise ValueError(f"{beginning} is the beginning of {', '.join(matches)}; give more of the id")
    return stored(matches[0])


def said_folders() -> str:
    """The store's folders for a reader; the first takes new models."""
    return " or ".join(map(str, store_folders()))


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
        found = ModelFiles.at(path)
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
    from mea_lib.model_files import loading
    from mea_lib.training import best_device

    return loading.load_model(files).to(best_device())


def copy_model(files: ModelFiles, out: Path) -> None:
    """Copy both files; `out` names the .safetensors one. No copy is ever half there, or half of another one.

    Raises:
        ValueError: for damaged files.
    """
    from mea_lib.files import NewFile, write_together

    card, weights = files.read()
    write_together([NewFile(out, weights), NewFile(out.with_suffix(".json"), card)], replace=True)
