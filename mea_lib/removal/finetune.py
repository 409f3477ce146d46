"""Fine-tuning: train on, without the watermark, and hope that it is forgotten."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.removal.base import FineTuning
from mea_lib.removal.own_images import ANSWERS, OwnImages, own_images
from mea_lib.training import Batch, Objective, Terms

LAYERS = ("all", "last")


@dataclass(frozen=True)
class FineTune(FineTuning):
    """Training on images that say nothing of a watermark.

    Attributes:
        epochs, learning_rate: as `FineTuning`.
        layers: "all", or "last" for the output layer alone.
        answers: how the model labels images that come without labels: "soft" for soft labels, its
            probabilities, "hard" for hard labels, its most probable class.

    Source: Adi et al., Turning Your Weakness Into a Strength (USENIX Security 2018), FTAL and FTLL;
    MEA-Defender (S&P 2024), Sec. V-E with the adversary's queries, Sec. V-F with the owner's kind of data.
    """

    layers: str = "all"
    answers: str = "soft"

    def __post_init__(self) -> None:
        if self.layers not in LAYERS:
            raise ValueError(f"unknown choice of layers {self.layers!r}; choose one of: {', '.join(LAYERS)}")
        if self.answers not in ANSWERS:
            raise ValueError(f"unknown kind of answers {self.answers!r}; choose one of: {', '.join(ANSWERS)}")

    def own_images(self, images: ImageSet | Tensor, model: ImageClassifier) -> OwnImages:
        """The adversary's images, labelled as `answers` says where they come without labels."""
        return own_images(images, model, self.answers)

    def objective(self, model: ImageClassifier, images: OwnImages) -> Objective:
        """Cross-entropy to what the images are to be called."""
        return finetune_objective(images.targets(model), self.layers)


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
