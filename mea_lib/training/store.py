"""The store of finished models: what was trained once is found again, and never by code it was not made with.

A model is two files, `<id>.safetensors` with the weights and `<id>.json`, its card. The id is a hash of the
recipe and of the code that shapes a model. How they are read and checked is in `mea_lib.model_files`.
"""

import hashlib
import platform
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from mea_lib.files import folder_mode, waited_for, write_whole
from mea_lib.model_files import (
    ModelFiles,
    identity_of,
    model_lock,
    own_store,
    read_card,
    sealed,
    store_folders,
)
from mea_lib.model_files.card import same_recipe
from mea_lib.model_files.loading import load_model
from mea_lib.shaping_code import code_digest
from mea_lib.training.checkpoint import trainings_of
from mea_lib.training.device import best_device


class Store:
    """A folder of finished models, safe with several processes and with interruptions.

    Its files have the folder's permissions, so that a folder which a group may write serves the group. A folder that
    may only be read serves what it has.

    Args:
        root: the folder that takes new models; it is made when the first one is saved.
        shared: further folders in which models are looked for. Nothing is changed in them.
    """

    def __init__(self, root: str | Path, *shared: str | Path) -> None:
        self.root = Path(root)
        self.shared = tuple(map(Path, shared))

    def fetch(self, recipe: dict[str, Any], make: Callable[[], nn.Module]) -> nn.Module:
        """The model of this recipe: read if it is there, else made, saved and returned.

        Of several processes that want the same model one makes it, the others wait for it. One that is there is
        read without a lock. Damaged is only what has provably another content, by its hash or by its format.

        Args:
            recipe: everything that decides the outcome, in values that JSON knows. "module" names the
                module whose code takes part, with what it imports (`shaping_code`).
            make: trains the model. Its `spec` must rebuild it; `history`, if it has one, goes to the card.

        Returns:
            The model on the CPU in evaluation mode, with its `card`.

        Raises:
            OSError: where files cannot be read, which says nothing about their content, or a finished model cannot
                be saved; then it says where the model was kept instead.
        """
        identity = self.identity(recipe)
        model = self._find(identity, recipe)
        if model is None:
            self._make_folder()
            with waited_for(model_lock(self.root, identity), f"making the model {identity}"):
                model = self._read(identity, recipe)
                if model is None:
                    with trainings_of(identity):
                        model = self._make(identity, recipe, make)
        return model

    def _make_folder(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise type(error)(
                error.errno,
                f"the store of models cannot be made ({error.strerror}); set MEA_STORE to a folder of yours",
                str(self.root),
            ) from error

    def identity(self, recipe: dict[str, Any]) -> str:
        """Name of the model of this recipe under the present code: 16 hexadecimal digits."""
        return identity_of(recipe, code_digest(recipe.get("module", "")))

    def cards(self) -> list[dict[str, Any]]:
        """Cards of all models, the oldest first.

        Passed over are a damaged one, `fetch` will deal with it, and one that another process removes just now.
        """
        cards: dict[str, dict[str, Any]] = {}
        for folder in (self.root, *self.shared):
            for path in folder.glob("*.json"):
                with suppress(ValueError, FileNotFoundError):
                    cards.setdefault(path.stem, read_card(path))
        return sorted(cards.values(), key=lambda card: card["made"])

    def _find(self, identity: str, recipe: dict[str, Any]) -> nn.Module | None:
        """The model, without a lock, from the first folder that has it whole."""
        for folder in (self.root, *self.shared):
            try:
                return _load(folder, identity, recipe)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except ValueError as error:
                if folder != self.root:
                    warnings.warn(f"a damaged model is passed over ({error})", stacklevel=3)
        return None

    def _read(self, identity: str, recipe: dict[str, Any]) -> nn.Module | None:
        """The model that takes new ones' place, under its lock; damaged files are set aside."""
        try:
            return _load(self.root, identity, recipe)
        except FileNotFoundError:
            return None
        except ValueError as error:
            ModelFiles.at(self.root / f"{identity}.json").set_aside()
            warnings.warn(
                f"the stored model {identity} is damaged ({error}); it was set aside and is made again",
                stacklevel=3,
            )
            return None

    def _make(self, identity: str, recipe: dict[str, Any], make: Callable[[], nn.Module]) -> nn.Module:
        """Train the model, save it, and read it back, under its lock."""
        started = time.perf_counter()
        model = make()
        weights = packed_weights(model)
        card = {
            "id": identity,
            "recipe": recipe,
            "code": code_digest(recipe.get("module", "")),
            "spec": model.spec,
            "weights_sha256": hashlib.sha256(weights).hexdigest(),
            "seconds": round(time.perf_counter() - started, 1),
            "history": getattr(model, "history", {}),
            "made": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "machine": {
                "processor": platform.machine(),
                "threads": torch.get_num_threads(),
                "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
            },
        }
        self._save(identity, weights, sealed(card))
        try:
            return _load(self.root, identity, recipe)
        except (FileNotFoundError, ValueError) as error:
            raise OSError(
                f"the model {identity} was saved in {self.root} but cannot be read ({error}); check the disk"
            ) from error

    def _save(self, identity: str, weights: bytes, card: bytes) -> None:
        """Write both files; where that fails, keep them in another folder and say where.

        Raises:
            OSError: where they could not be written into the store.
        """
        # Under the lock of this model nobody else writes it: these are of a process that was killed.
        for litter in self.root.glob(f"{identity}.*.partial"):
            with suppress(OSError):  # another user's
                litter.unlink(missing_ok=True)
        try:
            _write(self.root, identity, weights, card)
        except OSError as error:
            said = "the model that was trained is lost, for there is no other folder to keep it in"
            for folder in self._other_folders():
                with suppress(OSError):
                    folder.mkdir(parents=True, exist_ok=True)
                    _write(folder, identity, weights, card)
                    said = (
                        f"the trained model is kept as {folder / identity}.safetensors and .json: "
                        f"when that is mended, move both files to {self.root}"
                    )
                    break
            raise OSError(error.errno, f"{error.strerror}; {said}", error.filename) from error

    def _other_folders(self) -> Iterator[Path]:
        """Where a model can be kept that does not go into the store: the user's own store, else a new folder."""
        with suppress(RuntimeError):  # a user without a home
            if own_store().resolve() != self.root.resolve():
                yield own_store()
        with suppress(OSError):
            yield Path(tempfile.mkdtemp(prefix="mea-defender-"))


_IN_USE: ContextVar[Store | None] = ContextVar("the store in use", default=None)


@contextmanager
def use_store(store: Store | str | Path) -> Iterator[Store]:
    """Inside this block models are kept in, and found in, this store or the one in this folder."""
    store = store if isinstance(store, Store) else Store(store)
    before = _IN_USE.set(store)
    try:
        yield store
    finally:
        _IN_USE.reset(before)


def current_store() -> Store:
    """The store of the `use_store` block, else the one MEA_STORE names; see `mea_lib.model_files.store_folders`."""
    return _IN_USE.get() or Store(*store_folders())


def find_or_make(recipe: dict[str, Any], make: Callable[[], nn.Module]) -> nn.Module:
    """The model of this recipe from the store in use, else made and kept there; on the best device, as `Store.fetch`."""
    return current_store().fetch(recipe, make).to(best_device())


def _load(folder: Path, identity: str, recipe: dict[str, Any]) -> nn.Module:
    """The model of this recipe from a folder; errors as `load_model` says."""
    files = ModelFiles.at(folder / f"{identity}.json")
    model = load_model(files)
    if not same_recipe(model.card["recipe"], recipe):
        raise ValueError(f"{files.card} is the card of another recipe")
    return model


def _write(folder: Path, identity: str, weights: bytes, card: bytes) -> None:
    """Both files or none, with the folder's permissions."""
    files, mode = ModelFiles.at(folder / f"{identity}.json"), folder_mode(folder)
    write_whole(files.weights, weights, mode)
    try:
        write_whole(files.card, card, mode)  # last: a model without a card is not there
    except BaseException:
        files.weights.unlink(missing_ok=True)
        raise


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of a model's weights, in hexadecimal: what a stored model's card calls `weights_sha256`."""
    return hashlib.sha256(packed_weights(model)).hexdigest()


def packed_weights(model: nn.Module) -> bytes:
    """A model's weights as a safetensors file holds them; their SHA-256 is a card's `weights_sha256`."""
    return save({name: value.contiguous().cpu() for name, value in model.state_dict().items()})
