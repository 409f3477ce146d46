"""The names a model itself has for its classes."""

from collections.abc import Sequence
from typing import Any


def class_names(model: Any) -> tuple[str, ...] | None:
    """Names of the classes in the order of the answers, as the model or its card states them; None where neither does.

    Numbers in their order are no names: a surrogate was trained on answers, and its card has nothing else.

    Args:
        model: may have `classes`; one of the store has a `card`, whose recipe may hold "classes".
    """
    stated = getattr(model, "classes", None)
    card = getattr(model, "card", None)
    if stated is None and isinstance(card, dict) and isinstance(card.get("recipe"), dict):
        stated = card["recipe"].get("classes")
    if isinstance(stated, str | bytes) or not isinstance(stated, Sequence) or not stated:
        return None
    names = tuple(map(str, stated))
    return None if names == tuple(map(str, range(len(names)))) else names
