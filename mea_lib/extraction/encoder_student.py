"""What every extraction of an encoder ends with: a surrogate of the victim's features, stored or trained."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.extraction.answers_digest import answers_digest
from mea_lib.models.encoder import Encoder, build_encoder
from mea_lib.scale import Scale
from mea_lib.training import Objective, Store, TrainingSettings, encoder_training, fit_encoder


def student_training(scale: Scale, seed: int = 0) -> TrainingSettings:
    """How an adversary trains at this scale: the rate of an encoder, the epochs of a surrogate."""
    return encoder_training(scale, seed).but(epochs=scale.extract_epochs, augment=True)


def fit_student(
    queries: Tensor,
    answers: Tensor,
    make_objective: Callable[[Tensor], Objective],
    training: TrainingSettings,
    *,
    scale: Scale,
    recipe: dict[str, Any],
    network: str | None = None,
    width: int | None = None,
    after_epoch: Callable[[Encoder, int], dict] | None = None,
    store: Store | None = None,
) -> Encoder:
    """Find the surrogate of these images, answers and settings in the store, or train it there.

    It has as many features as the victim answers with: the network's own where they are as many, else those of a
    linear layer behind it. Its projection head is never used and stays as it was drawn.

    Args:
        queries: (M, C, H, W) uint8, the adversary's images.
        answers: (M, F), or (M, V, F) for V views of each image.
        make_objective: called with the answers on the training device, gives the loop its objective.
        training: settings of the loop.
        scale: gives network and width where they are not named.
        recipe: what else decides the outcome: method, module and the attack's settings.
        network: of the surrogate, which need not be the victim's.
        width: channels of its first layer.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The surrogate, in evaluation mode.

    Raises:
        ValueError: for answers that are not features of these images, row by row.
    """
    if answers.ndim not in (2, 3) or len(answers) != len(queries):
        raise ValueError(
            f"{len(queries)} images need as many rows of features, not answers of the shape "
            f"{tuple(answers.shape)}; pass on what the oracle answered, in the order of the images"
        )
    labels = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
    thief_data = ImageSet(queries, labels, ("unlabelled",), "queries")
    wanted = answers.shape[-1]
    own = own_features(network or scale.network, width or scale.width, thief_data.channels, thief_data.size)
    return fit_encoder(
        thief_data,
        lambda data: make_objective(answers.to(data.images.device)),
        training,
        scale=scale,
        recipe=recipe | {"answers": answers_digest(answers)},
        network=network,
        width=width,
        features=None if wanted == own else wanted,
        after_epoch=after_epoch,
        store=store,
    )


def own_features(network: str, width: int, channels: int, size: int) -> int:
    """How many features a network has without a linear layer behind it."""
    with torch.device("meta"):  # shapes without numbers
        shape = build_encoder(
            network, channels=channels, size=size, width=width, mean=[0.0] * channels, std=[1.0] * channels
        )
    return shape.size
