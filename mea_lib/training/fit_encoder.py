"""From images and an objective to a finished encoder in the store."""

from collections.abc import Callable
from typing import Any

from mea_lib.data import ImageSet
from mea_lib.models.encoder import PROJECTION, Encoder, build_encoder
from mea_lib.scale import Scale
from mea_lib.training.balance import Balance
from mea_lib.training.device import best_device, training_dtype
from mea_lib.training.loop import Objective, train
from mea_lib.training.settings import TrainingSettings
from mea_lib.training.store import Store, default_store


def fit_encoder(
    train_set: ImageSet,
    make_objective: Callable[[ImageSet], Objective],
    training: TrainingSettings,
    *,
    scale: Scale,
    recipe: dict[str, Any],
    network: str | None = None,
    width: int | None = None,
    features: int | None = None,
    projection: tuple[int, int] = PROJECTION,
    initial: Encoder | None = None,
    balance: Balance | None = None,
    after_epoch: Callable[[Encoder, int], dict] | None = None,
    store: Store | None = None,
) -> Encoder:
    """Find the encoder of this recipe in the store, or train it there.

    Args:
        train_set: what is trained on; a clean encoder uses its images and channel statistics only.
        make_objective: called with the training set on the training device, gives the loop its objective.
        training: settings of the loop. Its own augmentation should be off where the objective makes views.
        scale: gives network and width where they are not named, and its name to the card.
        recipe: what else decides the outcome: method, module, settings of the losses and of the views.
        network: one of `mea_lib.models.NETWORKS`.
        width: channels of its first layer.
        features: F; by default what the network gives.
        projection: hidden and output size of the projection head.
        initial: a trained encoder of the same shape to go on from, instead of random weights.
        balance: loss weighting; it is part of the recipe.
        after_epoch: measures to keep in the history.
        store: where finished models are kept; by default the one MEA_STORE names.

    Returns:
        The encoder on the best device, in evaluation mode, with its `card`.
    """
    device = best_device()
    network, width = network or scale.network, width or scale.width
    whole_recipe = recipe | {
        "data": train_set.digest(),
        "settings": training.to_dict(),
        "network": network,
        "width": width,
        "features": features,
        "projection": list(projection),
        "initial": initial.card["weights_sha256"] if initial is not None else None,
        "balance": repr(balance),
        "precision": str(training_dtype(device)),
        "device": device.type,
        "scale": scale.name,
    }

    def make() -> Encoder:
        encoder = build_encoder(
            network,
            channels=train_set.channels,
            size=train_set.size,
            width=width,
            features=features,
            projection=projection,
            mean=train_set.mean,
            std=train_set.std,
            seed=training.seed,
        )
        if initial is not None:
            encoder.load_state_dict(initial.state_dict())
        encoder = encoder.to(device)
        on_device = train_set.to(device)
        encoder.history = train(
            encoder,
            on_device.images,
            make_objective(on_device),
            training,
            balance=balance,
            after_epoch=after_epoch,
            title=recipe["method"],
        ).to_dict()
        return encoder

    return (store or default_store()).fetch(whole_recipe, make).to(device)
