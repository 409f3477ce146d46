"""The store of finished models: what was trained once is found again, and never by code it was not made with.

A model is two files, `<id>.safetensors` with the weights and `<id>.json`, its card. The id is a hash of the
recipe and of the code that shapes a model.
"""

import hashlib
import json
import os
import platform
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from mea_lib.files import write_whole
from mea_lib.models import build_from_spec
from mea_lib.shaping_code import code_digest


class Store:
    """A folder of finished models, safe with several processes and with interruptions.

    Args:
        root: the folder; it is made when the first model is saved.
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)

    def fetch(self, recipe: dict[str, Any], make: Callable[[], nn.Module]) -> nn.Module:
        """The model of this recipe: read if it is there, else made, saved and returned.

        Of several processes that want the same model one makes it, the others wait for it.

        Args:
            recipe: everything that decides the outcome, in values that JSON knows. "module" names the
                module whose code takes part, with what it imports (`shaping_code`).
            make: trains the model. Its `spec` must rebuild it; `history`, if it has one, goes to the card.

        Returns:
            The model on the CPU in evaluation mode, with its `card`.
        """
        identity = self.identity(recipe)
        self.root.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root / f"{identity}.lock"):
            found = self._read(identity)
            if found is None:
                self._make(identity, recipe, make)
                found = self._read(identity)
        if found is None:
            raise OSError(f"the model {identity} was saved in {self.root} but cannot be read; check the disk")
        return found

    def identity(self, recipe: dict[str, Any]) -> str:
        """Name of the model of this recipe under the present code: 16 hexadecimal digits."""
        whole = {"recipe": recipe, "code": code_digest(recipe.get("module", ""))}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:16]

    def cards(self) -> list[dict[str, Any]]:
        """Cards of all models, the oldest first.

        Passed over are a damaged one, `fetch` will deal with it, and one that another process removes just now.
        """
        cards = []
        for path in self.root.glob("*.json"):
            with suppress(ValueError, FileNotFoundError):
                cards.append(_read_card(path))
        return sorted(cards, key=lambda card: card["made"])

    def _make(self, identity: str, recipe: dict[str, Any], make: Callable[[], nn.Module]) -> None:
        started = time.perf_counter()
        model = make()
        weights = packed_weights(model)
        card = {
            "id": identity,
            "recipe": recipe,
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
        card_text = json.dumps(card, indent=1).encode()
        # Under the lock of this model nobody else writes it: these are of a process that was killed.
        for litter in self.root.glob(f"{identity}.*.partial"):
            litter.unlink(missing_ok=True)
        # The card comes last: a model without a card is not there.
        write_whole(self.root / f"{identity}.safetensors", weights)
        write_whole(self.root / f"{identity}.json", card_text)

    def _read(self, identity: str) -> nn.Module | None:
        """The stored model, or None where there is none; damaged files are set aside."""
        card_path, weights_path = (self.root / f"{identity}.{ending}" for ending in ("json", "safetensors"))
        if not card_path.exists():
            return None
        try:
            card = _read_card(card_path)
            weights = weights_path.read_bytes()
            if hashlib.sha256(weights).hexdigest() != card["weights_sha256"]:
                raise ValueError("the weights are not those the card describes")
            model = build_from_spec(card["spec"])
            model.load_state_dict(load(weights))
        except (ValueError, KeyError, TypeError, OSError, SafetensorError, RuntimeError) as error:
            for path in (card_path, weights_path):
                with suppress(FileNotFoundError):
                    os.replace(path, path.with_name(path.name + ".damaged"))
            warnings.warn(
                f"the stored model {identity} is damaged ({error}); it was set aside and is made again",
                stacklevel=3,
            )
            return None
        model.card = card
        return model.eval()


def _read_card(path: Path) -> dict[str, Any]:
    """A model's card; ValueError for a file that is none, or that of another model."""
    card = json.loads(path.read_text())
    if not isinstance(card, dict) or not {"id", "made", "spec", "weights_sha256"} <= card.keys():
        raise ValueError("the card is not one that a store has written")
    if card["id"] != path.stem:
        raise ValueError(f"the card is that of the model {card['id']}")
    return card


def default_store() -> Store:
    """The store that MEA_STORE names, else one in the user's cache folder."""
    chosen = os.environ.get("MEA_STORE")
    return Store(chosen or Path.home() / ".cache" / "mea-defender" / "store")


def packed_weights(model: nn.Module) -> bytes:
    """A model's weights as a safetensors file holds them; their SHA-256 is a card's `weights_sha256`."""
    return save({name: value.contiguous().cpu() for name, value in model.state_dict().items()})
