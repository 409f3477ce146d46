"""Fine-tuning: train on, without the watermark, and hope that it is forgotten."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.removal.changed_copy import changed_copy
from mea_lib.removal.own_images import ANSWERS, own_images
from mea_lib.scale import Scale
from mea_lib.training import (
    Batch,
    History,
    Objective,
    Store,
    Terms,
    TrainingSettings,
    adversary_settings,
    train,
)

LAYERS = ("all", "last")


@dataclass(frozen=True)
class FinetuneSettings:
    """What is trained, and on which labels.

    Attributes:
        layers: "all", or "last" for the output layer alone.
        answers: how the model labels images that come without labels: "soft" for soft labels, its
            probabilities, "hard" for hard labels, its most probable class.
    """

    layers: str = "all"
    answers: str = "soft"

    def __post_init__(self) -> None:
        if self.layers not in LAYERS:
            raise ValueError(f"unknown choice of layers {self.layers!r}; choose one of: {', '.join(LAYERS)}")
        if self.answers not in ANSWERS:
            raise ValueError(f"unknown kind of answers {self.answers!r}; choose one of: {', '.join(ANSWERS)}")


def finetune_training(scale: Scale, seed: int = 0) -> TrainingSettings:
    """How a model is trained on at this scale: an adversary's epochs, at a tenth of the highest rate."""
    return adversary_settings(scale, seed).but(
        optimizer="adamw", schedule="one-cycle", learning_rate=scale.learning_rate / 10, augment=True
    )


def remove(
    model: ImageClassifier,
    images: ImageSet | Tensor,
    scale: Scale,
    *,
    settings: FinetuneSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Train the model on images that say nothing of a watermark.

    Args:
        model: a victim or a surrogate; it is not changed.
        images: labelled images, such as held-out ones, or the adversary's own queries (M, C, H, W) uint8,
            which the model labels itself.
        scale: gives the training where it is not named.
        settings: which layers, which labels.
        training: epochs and learning rate above all; `finetune_training` by default.
        seed: of the order of images.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The fine-tuned model, in evaluation mode.

    Raises:
        ValueError: for images that do not suit the model.

    Source: Adi et al., Turning Your Weakness Into a Strength (USENIX Security 2018), FTAL and FTLL;
    MEA-Defender (S&P 2024), Sec. V-E with the adversary's queries, Sec. V-F with the owner's kind of data.
    """
    settings = settings or FinetuneSettings()
    training = (training or finetune_training(scale)).but(seed=seed)
    own = own_images(images, model, settings.answers)

    def change(copy: ImageClassifier) -> History:
        targets = own.targets(copy)
        return train(
            copy,
            own.data.images.to(targets.device),
            finetune_objective(targets, settings.layers),
            training,
            after_epoch=after_epoch,
            title="fine-tuning",
        )

    recipe = {
        "method": "fine-tuning",
        "module": __name__,
        "finetune": asdict(settings),
        "settings": training.to_dict(),
    }
    return changed_copy(model, change, recipe | own.recipe(), scale=scale, store=store)


def finetune_objective(targets: Tensor, layers: str = "all") -> Objective:
    """Cross-entropy to the targets (M, K) of all images.

    With `layers` "last" the body works as it does when it is used, dropout off and batch normalisation by the
    statistics of old, and gets no gradient.
    """

    def objective(model: ImageClassifier, batch: Batch) -> Terms:
        if layers == "last":
            model.body.eval()
        with torch.set_grad_enabled(layers == "all"):
            features = model.features(batch.images)  # (N, F)
        return Terms({"utility": utility_loss(model.logits(features), targets[batch.index])})

    return objective
