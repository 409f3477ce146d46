"""The names a model itself has for its classes."""

from typing import Any


def class_names(model: Any) -> tuple[str, ...] | None:
    """Names of the classes in the order of the answers, as the model's card states them; None where it does not.

    Numbers in their order are no names: a surrogate was trained on answers, and its card has nothing else.

    Args:
        model: one of the store has a `card`, whose recipe may hold "classes".
    """
    card = getattr(model, "card", None)
    recipe = card.get("recipe") if isinstance(card, dict) else None
    found = recipe.get("classes") if isinstance(recipe, dict) else None
    if isinstance(found, list | tuple) and found and all(isinstance(name, str) for name in found):
        return None if list(found) == [str(number) for number in range(len(found))] else tuple(found)
    return None
