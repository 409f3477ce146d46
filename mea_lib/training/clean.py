"""A model without a watermark: the control of every experiment."""

from dataclasses import dataclass

import torch

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training.balance import Terms
from mea_lib.training.fit import Start, classifier_spec, fit
from mea_lib.training.loop import Batch, Objective
from mea_lib.training.method import Method


@dataclass(frozen=True)
class Clean(Method):
    """Training on the labels, nothing else."""

    def objective(self, train_set: ImageSet) -> Objective:
        """Cross-entropy on the labels (Eq. 1)."""
        one_hot = torch.eye(len(train_set.classes), device=train_set.images.device)

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            logits = model(batch.images)
            return Terms({"utility": utility_loss(logits, one_hot[train_set.labels[batch.index]])})

        return objective


def train_clean(
    train_set: ImageSet, scale: Scale, *, seed: int = 0, pretrained: ImageClassifier | None = None
) -> ImageClassifier:
    """Find the clean model of these images in the store, or train it there as the scale's owner does.

    Args:
        train_set: labelled images.
        scale: gives the owner's training, network and width.
        seed: of the weights and of the order of images.
        pretrained: a model to go on from; None trains from scratch.

    Returns:
        The model, in evaluation mode.
    """
    method, training = Clean(), scale.owner.but(seed=seed)
    start = Start(classifier_spec(train_set, scale), pretrained)
    return fit(train_set, method.objective, training, method.recipe(scale), start)
