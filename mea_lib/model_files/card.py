"""A model's card: JSON beside the weights that says what they are, sealed with a hash of its own."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from mea_lib.files import read_file

MOST_BYTES = 4_000_000  # a card has some thousands
_ALWAYS = {"id": str, "made": str, "recipe": dict, "spec": dict, "weights_sha256": str}
# All fields of a card from before cards had a hash of their own. One with another field is not such a card.
_UNSEALED = _ALWAYS.keys() | {"seconds", "history", "versions", "machine"}
_IDENTITY = re.compile("[0-9a-f]{16}")


def identity_of(recipe: dict[str, Any], code: str) -> str:
    """Name of the model that this code makes of a recipe: 16 hexadecimal digits.

    Args:
        recipe: everything that decides the outcome, in values that JSON knows.
        code: hash of the code that shapes the model (`shaping_code.code_digest`).
    """
    return hashlib.sha256(_text({"recipe": recipe, "code": code}).encode()).hexdigest()[:16]


def same_recipe(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two recipes say the same once they are written as JSON."""
    return _text(one) == _text(other)


def sealed(card: dict[str, Any]) -> bytes:
    """A card as its file holds it, with `card_sha256`: the hash of everything else that it says.

    Raises:
        TypeError: for a value that JSON does not know.
    """
    return json.dumps(card | {"card_sha256": _hash(card)}, indent=1).encode()


def read_card(path: Path) -> dict[str, Any]:
    """A model's card, checked.

    Raises:
        ValueError: for a file that is no card, was altered, or is that of another model than its name says.
        OSError: where it cannot be read; FileNotFoundError where there is none.
    """
    return parse_card(read_file(path, MOST_BYTES), path)


def parse_card(content: bytes, path: Path) -> dict[str, Any]:
    """A card from the bytes of its file; ValueError as `read_card` says."""
    try:
        card = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}); copy the model again") from error
    if (
        not isinstance(card, dict)
        or not all(isinstance(card.get(name), kind) for name, kind in _ALWAYS.items())
        or not _IDENTITY.fullmatch(card["id"])
    ):
        raise ValueError(f"{path} is not the card of a model as the store writes it")
    if "card_sha256" in card:
        said = {name: value for name, value in card.items() if name != "card_sha256"}
        whole = card["card_sha256"] == _hash(said)
    else:
        whole = card.keys() <= _UNSEALED
    if not whole:
        raise ValueError(f"{path} does not say what it said when it was written; copy the model again")
    if "card_sha256" in card and identity_of(card["recipe"], card.get("code", "")) != card["id"]:
        raise ValueError(f"{path} has a recipe that is not that of the model {card['id']}")
    if _IDENTITY.fullmatch(path.stem) and path.stem != card["id"]:
        raise ValueError(f"{path} is the card of the model {card['id']}, and its name is that of another")
    return card


def _hash(card: dict[str, Any]) -> str:
    return hashlib.sha256(_text(card).encode()).hexdigest()


def _text(values: dict[str, Any]) -> str:
    """The same text for the same values, also after they were written and read, where every key is a string."""
    return json.dumps(json.loads(json.dumps(values)), sort_keys=True)
