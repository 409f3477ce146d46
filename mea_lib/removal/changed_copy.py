"""What every removal does: a copy is changed and kept in the store, and the given model stays as it was."""

import hashlib
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from mea_lib.models import ImageClassifier, build_from_spec
from mea_lib.scale import Scale
from mea_lib.training import History, Store, best_device, default_store, training_dtype
from mea_lib.training.store import packed_weights


def changed_copy(
    model: ImageClassifier,
    change: Callable[[ImageClassifier], History | None],
    recipe: dict[str, Any],
    *,
    scale: Scale,
    store: Store | None = None,
) -> ImageClassifier:
    """Find the model that this removal makes of `model` in the store, or make it there.

    Args:
        model: what the watermark is to be removed from; it is not changed.
        change: changes the copy it is given, on the best device and in evaluation mode; where its layers become
            others, its `spec` must follow. A history that it returns goes to the card. What takes time, such as
            answers to many images, belongs in here: it is not called where the store has the model.
        recipe: what decides the outcome beside the model: method, module, settings, images.
        scale: gives its name to the card.
        store: where finished models are kept; by default the one MEA_STORE names.

    Returns:
        The changed model on the best device, in evaluation mode, with its `card`.

    Raises:
        ValueError: for a model that is no plain classifier, such as an encoder or a quantised model.
    """

    def make(copy: ImageClassifier) -> ImageClassifier:
        history = change(copy)
        if history is not None:
            copy.history = history.to_dict()
        return copy

    return made_from(model, make, recipe, scale=scale, store=store)


def made_from(
    model: ImageClassifier,
    make: Callable[[ImageClassifier], ImageClassifier],
    recipe: dict[str, Any],
    *,
    scale: Scale,
    store: Store | None = None,
) -> ImageClassifier:
    """Find the model that is made from `model` in the store, or make it there: `changed_copy` for any new model.

    Args:
        make: returns the new model, with its `spec` and perhaps a `history`. It is given a copy of `model`, and only
            called where the store does not have what it makes.
        model, recipe, scale, store: as in `changed_copy`.

    Returns, raises: as `changed_copy`.
    """
    _check_is_plain(model)
    device = best_device()
    whole_recipe = recipe | {
        "model": weights_digest(model),
        "spec": model.spec,
        "precision": str(training_dtype(device)),
        "device": device.type,
        "scale": scale.name,
    }
    return (store or default_store()).fetch(whole_recipe, lambda: make(copy_of(model))).to(device)


def copy_of(model: ImageClassifier) -> ImageClassifier:
    """The same classifier with weights of its own, on the best device and in evaluation mode."""
    _check_is_plain(model)
    copy = build_from_spec(model.spec)
    copy.load_state_dict(model.state_dict())
    return copy.to(best_device()).eval()


def fresh_head(model: ImageClassifier, classes: int, seed: int) -> nn.Linear:
    """An output layer with random weights for the features of `model`, on its device."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = nn.Linear(model.head.in_features, classes)
    return head.to(model.head.weight.device)


def weights_digest(model: nn.Module) -> str:
    """SHA-256 of a model's weights, in hexadecimal: what a stored model's card calls `weights_sha256`."""
    return hashlib.sha256(packed_weights(model)).hexdigest()


def _check_is_plain(model: nn.Module) -> None:
    if "kind" in model.spec:
        raise ValueError(
            f"a removal changes a classifier that mea_lib.models.build made, not a model of the kind "
            f"{model.spec['kind']!r}; pass the classifier itself"
        )
