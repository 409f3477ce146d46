"""StolenEncoder (Liu et al. 2022): one answer for an image teaches the surrogate its views too."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.extraction.base import EncoderExtraction
from mea_lib.losses import feature_distance
from mea_lib.losses.feature_distance import check_distance
from mea_lib.models.encoder import Encoder
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Terms, TrainingSettings, ViewSettings
from mea_lib.training.views import view

# Mirror, jitter and greyscale of the released code, in which the crop stands commented out.
RELEASED_VIEWS = ViewSettings(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0))
# With a mild crop: on grey images there is little else to change.
VIEWS = ViewSettings(crop_scale=(0.8, 1.0))


@dataclass(frozen=True)
class StolenEncoder(EncoderExtraction):
    """A surrogate that has the answer's features for an image and for its views.

    The defaults are for a laptop, `RELEASED` holds the authors'.

    Attributes:
        views_weight: λ, how much all views together count beside the clean image.
        views_number: k, views of each image in a step, drawn anew each time. A step costs k + 1 forward
            passes; the authors' 9 make it five times as long as the 1 here.
        distance: one of `mea_lib.losses.feature_distance`'s; the authors compare "l2"
            with "l1", there a sum over the features, and "cosine".
        normalise: bring features and answers to length 1 first. The authors' API does so with its answers;
            one that does not gives the adversary the lengths too, so they are matched here.
        views: how different a view may be.

    Source: Liu, Jia, Liu and Gong, StolenEncoder: Stealing Pre-trained Encoders in Self-supervised Learning
    (CCS 2022), arXiv 2201.05889.
    """

    views_weight: float = 9.0
    views_number: int = 1
    distance: str = "l2"
    normalise: bool = False
    views: ViewSettings = VIEWS

    def __post_init__(self) -> None:
        check_distance(self.distance)
        if not 0 <= self.views_weight < math.inf:
            raise ValueError(f"views_weight must be at least 0, not {self.views_weight}")
        if self.views_number < 0:
            raise ValueError(f"views_number must be at least 0, not {self.views_number}")

    def training(self, scale: Scale) -> TrainingSettings:
        """How the surrogate is trained; the views take the place of the loop's own augmentation."""
        return scale.encoder_surrogate.but(augment=False)

    def objective(self, answers: Tensor) -> Objective:
        """d(f(x), v) + λ·(1/k)·Σ d(f(view of x), v), averaged over the batch, for features v (M, F) of all queries.

        The clean images and all views go through the network at once, so that they share its batch statistics; in
        the released code each has a forward pass of its own.
        """
        number = self.views_number

        def objective(model: Encoder, batch: Batch) -> Terms:
            clean = batch.images.float() / 255
            views = [view(batch.images, self.views, batch.generator) for _ in range(number)]
            features = model(torch.cat([clean, *views]))  # ((k + 1)·N, F)
            wanted = answers[batch.index].repeat(number + 1, 1)
            outputs = features
            if self.normalise:
                outputs, wanted = F.normalize(outputs, dim=1), F.normalize(wanted, dim=1)
            first = len(clean)
            losses = {"clean": feature_distance(outputs[:first], wanted[:first], self.distance)}
            if number:
                of_views = feature_distance(outputs[first:], wanted[first:], self.distance)
                losses["views"] = self.views_weight * of_views
            return Terms(losses, features)

        return objective


# The attack of the authors' released train_surrogate_encoder.py.
RELEASED = StolenEncoder(views_number=9, normalise=True, views=RELEASED_VIEWS)
# Theirs is a sum over the batch at the rate 1e-3; of a mean, 256 times the rate and a 256th of the decay are the same.
RELEASED_TRAINING = TrainingSettings(
    epochs=1000,
    batch_size=256,
    learning_rate=256 * 1e-3,
    weight_decay=5e-4 / 256,
    momentum=0.9,
    optimizer="sgd",
    schedule="constant",
    augment=False,
)
