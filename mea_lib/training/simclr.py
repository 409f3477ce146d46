"""SimCLR: an encoder learns, without labels, to give two views of an image the same features."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from mea_lib.data import ImageSet
from mea_lib.losses import nt_xent_loss
from mea_lib.models.encoder import PROJECTION, Encoder
from mea_lib.scale import Scale
from mea_lib.training.balance import Terms
from mea_lib.training.fit_encoder import fit_encoder
from mea_lib.training.loop import Batch, Objective
from mea_lib.training.settings import TrainingSettings
from mea_lib.training.store import Store
from mea_lib.training.views import ViewSettings, default_views, two_views


@dataclass(frozen=True)
class SimCLRSettings:
    """What SimCLR adds to the settings of the loop.

    Attributes:
        temperature: of NT-Xent; its authors take 0.5 on CIFAR-10.
        views: how different the two views are; None takes `default_views` of the images.
        projection: hidden and output size of the projection head.
    """

    temperature: float = 0.2
    views: ViewSettings | None = None
    projection: tuple[int, int] = PROJECTION


def encoder_training(scale: Scale, seed: int = 0) -> TrainingSettings:
    """How an encoder is trained at this scale: by Muon at half a classifier's rate where classifiers are, else by AdamW.

    What Muon leaves to AdamW, or all, learns at a higher rate than in a classifier and almost without weight decay. The
    loop's own augmentation is off, since views take its place.
    """
    return TrainingSettings(
        scale.encoder_epochs,
        scale.batch_size,
        2.5 * scale.learning_rate,
        weight_decay=1e-4,
        optimizer="muon" if scale.optimizer == "muon" else "adamw",
        schedule="one-cycle",
        muon_rate=0.05,
        augment=False,
        seed=seed,
    )


def train_encoder(
    train_set: ImageSet,
    scale: Scale,
    *,
    settings: SimCLRSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    features: int | None = None,
    seed: int = 0,
    after_epoch: Callable[[Encoder, int], dict] | None = None,
    store: Store | None = None,
) -> Encoder:
    """Find the encoder of these images in the store, or train it there. Labels are not looked at.

    Args:
        train_set: the owner's images.
        scale: gives the training, network and width where they are not named.
        settings: temperature, views, projection head.
        training: how the loop trains; by default `encoder_training`.
        network: one of `mea_lib.models.NETWORKS`.
        width: channels of its first layer.
        features: F; by default what the network gives, see `mea_lib.models.encoder.build_encoder`.
        seed: of the weights, the order of the images and the views.
        after_epoch: measures to keep in the history, such as `knn_accuracy`.
        store: where finished models are kept.

    Returns:
        The encoder, in evaluation mode; its projection head is kept, for trainings that go on from it.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (ICML 2020).
    """
    settings = settings or SimCLRSettings()
    views = settings.views or default_views(train_set.channels)
    return fit_encoder(
        train_set,
        lambda data: simclr_objective(views, settings.temperature),
        (training or encoder_training(scale)).but(seed=seed),
        scale=scale,
        recipe={
            "method": "simclr",
            "module": __name__,
            "temperature": settings.temperature,
            "views": views.to_dict(),
        },
        network=network,
        width=width,
        features=features,
        projection=settings.projection,
        after_epoch=after_epoch,
        store=store,
    )


def simclr_objective(views: ViewSettings, temperature: float) -> Objective:
    """NT-Xent of two views of each image, both from a single forward pass."""

    def objective(model: Encoder, batch: Batch) -> Terms:
        pair = torch.cat(two_views(batch.images, views, batch.generator))  # (2N, C, H, W)
        features = model.features(pair)
        first, second = model.project(features).chunk(2)
        return Terms({"utility": nt_xent_loss(first, second, temperature)}, features)

    return objective
