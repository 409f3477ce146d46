"""StolenEncoder (Liu et al. 2022): one answer for an image teaches the surrogate its views too."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.blackbox import FeatureOracle
from mea_lib.extraction.encoder_student import fit_student, student_training
from mea_lib.losses import feature_distance
from mea_lib.losses.feature_distance import check_distance
from mea_lib.models.encoder import Encoder
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Store, Terms, TrainingSettings, ViewSettings
from mea_lib.training.views import view

# Mirror, jitter and greyscale of the released code, in which the crop stands commented out.
RELEASED_VIEWS = ViewSettings(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0))
# With a mild crop: on grey images there is little else to change.
VIEWS = ViewSettings(crop_scale=(0.8, 1.0))


@dataclass(frozen=True)
class StolenEncoderSettings:
    """The adversary's choices; the defaults are for a laptop, `RELEASED` holds the authors'.

    Attributes:
        views_weight: λ, how much all views together count beside the clean image.
        views_number: k, views of each image in a step, drawn anew each time. A step costs k + 1 forward
            passes; the authors' 9 make it five times as long as the 1 here.
        distance: one of `mea_lib.losses.feature_distance`'s; the authors compare "l2"
            with "l1", there a sum over the features, and "cosine".
        normalise: bring features and answers to length 1 first. The authors' API does so with its answers;
            one that does not gives the adversary the lengths too, so they are matched here.
        views: how different a view may be.
    """

    views_weight: float = 9.0
    views_number: int = 1
    distance: str = "l2"
    normalise: bool = False
    views: ViewSettings = VIEWS

    def __post_init__(self) -> None:
        check_distance(self.distance)
        if self.views_weight < 0:
            raise ValueError(f"views_weight must be at least 0, not {self.views_weight}")
        if self.views_number < 0:
            raise ValueError(f"views_number must be at least 0, not {self.views_number}")


# The attack of the authors' released train_surrogate_encoder.py.
RELEASED = StolenEncoderSettings(views_number=9, normalise=True, views=RELEASED_VIEWS)
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


def extract(
    oracle: FeatureOracle,
    queries: Tensor,
    scale: Scale,
    *,
    settings: StolenEncoderSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    after_epoch: Callable[[Encoder, int], dict] | None = None,
    store: Store | None = None,
) -> Encoder:
    """Train a surrogate to answer each image, and views of it, as the oracle answered the image itself.

    Every image is one query: the victim has learnt to give an image and its views nearly the same features,
    so the answers to the views need not be bought. The answers decide which stored surrogate is found, so the
    queries are sent (and counted) again each time.

    Args:
        oracle: the victim's API; answers with features (N, F).
        queries: (M, C, H, W) uint8, the adversary's own images.
        scale: gives the adversary's training, network and width where they are not named.
        settings: number, weight and kind of the views, and the distance; `RELEASED` holds the authors'.
        training: how the surrogate is trained; by default `student_training` without the loop's own
            augmentation.
        network: of the surrogate, which need not be the victim's; it has F features in any case.
        width: channels of its first layer.
        seed: of the surrogate's weights, the order of images and the views.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The surrogate, in evaluation mode.

    Raises:
        BudgetSpent: when the oracle's budget does not cover the queries; then no query is sent.

    Source: Liu, Jia, Liu and Gong, StolenEncoder: Stealing Pre-trained Encoders in Self-supervised Learning
    (CCS 2022), arXiv 2201.05889.
    """
    return train_student(
        queries,
        oracle(queries),
        scale,
        settings=settings,
        training=training,
        network=network,
        width=width,
        seed=seed,
        after_epoch=after_epoch,
        store=store,
    )


def train_student(
    queries: Tensor,
    answers: Tensor,
    scale: Scale,
    *,
    settings: StolenEncoderSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    after_epoch: Callable[[Encoder, int], dict] | None = None,
    store: Store | None = None,
) -> Encoder:
    """Train a surrogate on features that are there already.

    Args:
        queries: (M, C, H, W) uint8.
        answers: (M, F) what the victim answered to them.
        scale, settings, training, network, width, seed, after_epoch, store: as `extract`.

    Returns:
        The surrogate, in evaluation mode.
    """
    settings = settings or StolenEncoderSettings()
    return fit_student(
        queries,
        answers,
        lambda found: stolen_encoder_objective(found, settings),
        (training or student_training(scale).but(augment=False)).but(seed=seed),
        scale=scale,
        recipe={"method": "stolen-encoder", "module": __name__, "stolen_encoder": asdict(settings)},
        network=network,
        width=width,
        after_epoch=after_epoch,
        store=store,
    )


def stolen_encoder_objective(answers: Tensor, settings: StolenEncoderSettings) -> Objective:
    """d(f(x), v) + λ·(1/k)·Σ d(f(view of x), v), averaged over the batch.

    The clean images and all views go through the network at once, so that they share its batch statistics; in
    the released code each has a forward pass of its own.

    Args:
        answers: (M, F) the victim's features v of all queries.
        settings: λ, k, d and the views.
    """
    number = settings.views_number

    def objective(model: Encoder, batch: Batch) -> Terms:
        clean = batch.images.float() / 255
        views = [view(batch.images, settings.views, batch.generator) for _ in range(number)]
        features = model(torch.cat([clean, *views]))  # ((k + 1)·N, F)
        wanted = answers[batch.index].repeat(number + 1, 1)
        own = features
        if settings.normalise:
            own, wanted = F.normalize(own, dim=1), F.normalize(wanted, dim=1)
        first = len(clean)
        losses = {"clean": feature_distance(own[:first], wanted[:first], settings.distance)}
        if number:
            of_views = feature_distance(own[first:], wanted[first:], settings.distance)
            losses["views"] = settings.views_weight * of_views
        return Terms(losses, features)

    return objective
