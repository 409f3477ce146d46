"""From images and an objective to a finished model in the store."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from mea_lib.data import ImageSet
from mea_lib.models import build_from_spec
from mea_lib.models.encoder import PROJECTION
from mea_lib.scale import Scale
from mea_lib.training.balance import Balance, FixedBalance
from mea_lib.training.device import best_device
from mea_lib.training.loop import Objective, train
from mea_lib.training.plain import as_plain
from mea_lib.training.store import find_or_make, weights_digest
from mea_lib.training_settings import TrainingSettings


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    Attributes:
        spec: of the network, as `mea_lib.models.build_from_spec` takes it; see `classifier_spec`, `encoder_spec`.
        weights: a trained model of the same spec to go on from; None draws them by the training's seed.
    """

    spec: dict[str, Any]
    weights: nn.Module | None = field(default=None, repr=False)


def fit(
    train_set: ImageSet,
    make_objective: Callable[[ImageSet], Objective],
    training: TrainingSettings,
    recipe: dict[str, Any],
    start: Start,
    balance: Balance | None = None,
) -> nn.Module:
    """Find the model of this recipe in the store, or train it there: classifiers and encoders alike.

    Args:
        train_set: what is trained on; only its images, classes and channel statistics for an adversary.
        make_objective: called with the training set on the training device, gives the loop its objective.
        training: settings of the loop.
        recipe: what else decides the outcome, as `Method.recipe` makes it.
        start: the network, and weights to go on from.
        balance: loss weighting; it is part of the recipe.

    Returns:
        The model on the best device, in evaluation mode, with its `card`.
    """
    balance = balance or FixedBalance()
    whole = recipe | {
        "data": train_set.digest(),
        "training": training.to_dict(),
        "spec": start.spec,
        "initial": weights_digest(start.weights) if start.weights is not None else None,
        "balance": as_plain(balance),
    }
    if "classes" in start.spec:
        whole["classes"] = list(train_set.classes)

    def make() -> nn.Module:
        device = best_device()
        model = build_from_spec(start.spec, training.seed)
        if start.weights is not None:
            _load(model, start)
        model, on_device = model.to(device), train_set.to(device)
        objective = make_objective(on_device)
        title = recipe["method"]
        history = train(model, on_device.images, objective, training, balance=balance, title=title)
        model.history = history.to_dict()
        return model

    return find_or_make(whole, make)


def _load(model: nn.Module, start: Start) -> None:
    try:
        model.load_state_dict(start.weights.state_dict())
    except RuntimeError as error:
        raise ValueError(
            f"the model to go on from has other weights than {start.spec}, which is what is trained here; pass one "
            "that mea_lib made with the same network, width and classes"
        ) from error


def classifier_spec(train_set: ImageSet, scale: Scale) -> dict[str, Any]:
    """The scale's network for these images and classes."""
    return {"network": scale.network, "classes": len(train_set.classes)} | _input_spec(train_set, scale)


def encoder_spec(
    train_set: ImageSet,
    scale: Scale,
    features: int | None = None,
    projection: tuple[int, int] = PROJECTION,
) -> dict[str, Any]:
    """The scale's network for these images, with so many features (None: its own) and this projection head."""
    head = {"kind": "encoder", "features": features, "projection": list(projection)}
    return {"network": scale.network} | _input_spec(train_set, scale) | head


def _input_spec(train_set: ImageSet, scale: Scale) -> dict[str, Any]:
    return {
        "channels": train_set.channels,
        "size": train_set.size,
        "width": scale.width,
        "mean": list(train_set.mean),
        "std": list(train_set.std),
    }
