"""From images and an objective to a finished model in the store."""

from collections.abc import Callable
from typing import Any

import torch

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier, build
from mea_lib.scale import Scale
from mea_lib.training.balance import Balance, Terms
from mea_lib.training.device import best_device, training_dtype
from mea_lib.training.loop import Batch, Objective, train
from mea_lib.training.settings import TrainingSettings, owner_settings
from mea_lib.training.store import Store, default_store


def fit(
    train_set: ImageSet,
    make_objective: Callable[[ImageSet], Objective],
    settings: TrainingSettings,
    *,
    scale: Scale,
    recipe: dict[str, Any],
    network: str | None = None,
    width: int | None = None,
    initial: ImageClassifier | None = None,
    balance: Balance | None = None,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Find the model of this recipe in the store, or train it there.

    Args:
        train_set: what is trained on; only its images, classes and channel statistics for an adversary.
        make_objective: called with the training set on the training device, gives the loop its objective.
        settings: of the loop.
        scale: gives network and width where they are not named, and its name to the card.
        recipe: what else decides the outcome: method, key, its settings, the seed of the data's draw.
        network: one of `mea_lib.models.NETWORKS`.
        width: channels of its first layer.
        initial: a trained model of the same shape to go on from, instead of random weights.
        balance: loss weighting; it is part of the recipe.
        after_epoch: measures to keep in the history.
        store: where finished models are kept; by default the one MEA_STORE names.

    Returns:
        The model on the best device, in evaluation mode, with its `card`.
    """
    device = best_device()
    network, width = network or scale.network, width or scale.width
    whole_recipe = recipe | {
        "data": train_set.digest(),
        "classes": list(train_set.classes),
        "settings": settings.to_dict(),
        "network": network,
        "width": width,
        "initial": initial.card["weights_sha256"] if initial is not None else None,
        "balance": repr(balance),
        "precision": str(training_dtype(device)),
        "device": device.type,
        "scale": scale.name,
    }

    def make() -> ImageClassifier:
        model = build(
            network,
            classes=len(train_set.classes),
            channels=train_set.channels,
            size=train_set.size,
            width=width,
            mean=train_set.mean,
            std=train_set.std,
            seed=settings.seed,
        )
        if initial is not None:
            model.load_state_dict(initial.state_dict())
        model = model.to(device)
        on_device = train_set.to(device)
        model.history = train(
            model,
            on_device.images,
            make_objective(on_device),
            settings,
            balance=balance,
            after_epoch=after_epoch,
            title=recipe["method"],
        ).to_dict()
        return model

    return (store or default_store()).fetch(whole_recipe, make).to(device)


def train_clean(
    train_set: ImageSet,
    scale: Scale,
    *,
    seed: int = 0,
    settings: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """A model without a watermark, trained as the owner trains: the control of every experiment."""
    settings = (settings or owner_settings(scale)).but(seed=seed)
    return fit(
        train_set,
        clean_objective,
        settings,
        scale=scale,
        recipe={"method": "clean", "module": __name__},
        network=network,
        width=width,
        store=store,
    )


def clean_objective(train_set: ImageSet) -> Objective:
    """Cross-entropy on the labels, nothing else."""
    one_hot = torch.eye(len(train_set.classes), device=train_set.images.device)

    def objective(model: ImageClassifier, batch: Batch) -> Terms:
        return Terms({"utility": utility_loss(model(batch.images), one_hot[train_set.labels[batch.index]])})

    return objective
