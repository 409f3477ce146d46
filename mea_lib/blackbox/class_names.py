"""The names a model itself has for its classes."""

from collections.abc import Sequence
from typing import Any


def class_names(model: Any) -> tuple[str, ...] | None:
    """Names of the classes in the order of the answers, as the model or its card states them; None where neither does.

    Numbers in their order are no names: a surrogate was trained on answers, and its card has nothing else.

    Args:
        model: may have `classes`; one of the store has a `card`, whose recipe may hold "classes".
    """
    found = getattr(model, "classes", None)
    card = getattr(model, "card", None)
    if found is None and isinstance(card, dict) and isinstance(card.get("recipe"), dict):
        found = card["recipe"].get("classes")
    if isinstance(found, str | bytes) or not isinstance(found, Sequence) or not found:
        return None
    names = tuple(map(str, found))
    return None if names == tuple(map(str, range(len(names)))) else names
