"""SimCLR: an encoder learns, without labels, to give two views of an image the same features."""

from dataclasses import dataclass

import torch

from mea_lib.data import ImageSet
from mea_lib.losses import nt_xent_loss
from mea_lib.models.encoder import PROJECTION, Encoder
from mea_lib.scale import Scale
from mea_lib.training.balance import Terms
from mea_lib.training.fit import Start, encoder_spec, fit
from mea_lib.training.loop import Batch, Objective
from mea_lib.training.method import Method
from mea_lib.training.views import ViewSettings, default_views, two_views


@dataclass(frozen=True)
class SimCLR(Method):
    """Training without labels: NT-Xent between two views of each image.

    Attributes:
        temperature: of NT-Xent; its authors take 0.5 on CIFAR-10.
        views: how different the two views are; None takes `default_views` of the images.
        projection: hidden and output size of the projection head.
        features: F; None takes what the network gives, see `mea_lib.models.encoder.build_encoder`.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (ICML 2020).
    """

    temperature: float = 0.2
    views: ViewSettings | None = None
    projection: tuple[int, int] = PROJECTION
    features: int | None = None

    def train(self, train_set: ImageSet, scale: Scale, *, seed: int = 0) -> Encoder:
        """Find the encoder of these images in the store, or train it there. Labels are not looked at.

        Args:
            train_set: the owner's images.
            scale: gives the encoder's training, network and width.
            seed: of the weights, the order of the images and the views.

        Returns:
            The encoder, in evaluation mode; its projection head is kept, for trainings that go on from it.
        """
        training, start = scale.encoder.but(seed=seed), self.start(train_set, scale)
        return fit(train_set, self.objective, training, self.recipe(scale), start)

    def views_of(self, train_set: ImageSet) -> ViewSettings:
        """How different two views of these images are."""
        return self.views or default_views(train_set.channels)

    def start(self, train_set: ImageSet, scale: Scale, weights: Encoder | None = None) -> Start:
        """The encoder that a training on these images starts from."""
        return Start(encoder_spec(train_set, scale, self.features, self.projection), weights)

    def objective(self, train_set: ImageSet) -> Objective:
        """NT-Xent of two views of each image, both from a single forward pass."""
        views = self.views_of(train_set)

        def objective(model: Encoder, batch: Batch) -> Terms:
            pair = torch.cat(two_views(batch.images, views, batch.generator))  # (2N, C, H, W)
            features = model.features(pair)
            first, second = model.project(features).chunk(2)
            return Terms({"utility": nt_xent_loss(first, second, self.temperature)}, features)

        return objective


def train_encoder(train_set: ImageSet, scale: Scale, *, seed: int = 0) -> Encoder:
    """A clean encoder by `SimCLR` with its own settings."""
    return SimCLR().train(train_set, scale, seed=seed)
