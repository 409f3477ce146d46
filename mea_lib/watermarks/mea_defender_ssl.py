"""The paper's watermark for encoders: Eq. 5–9 in the column for self-supervised learning, as written."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.data.mixes import draw_classes
from mea_lib.losses import combination_loss, feature_distance, nt_xent_loss
from mea_lib.models.encoder import Encoder
from mea_lib.scale import Scale
from mea_lib.training import (
    Balance,
    Batch,
    FixedBalance,
    Objective,
    SimCLRSettings,
    Store,
    Terms,
    TrainingSettings,
    encoder_training,
    two_views,
)
from mea_lib.training.augment import mirror
from mea_lib.training.autoencoder import train_autoencoder
from mea_lib.training.fit_encoder import fit_encoder
from mea_lib.training.views import ViewSettings, default_views
from mea_lib.watermarks.samples import ExtraSamples


@dataclass(frozen=True)
class MEADefenderSSLSettings:
    """Which terms of Eq. 4 are used, and how.

    Attributes:
        utility, combination, verification, evasion: whether the term takes part (Eq. 5–8).
        distance: of `mea_lib.losses.feature_distance`, for verification and evasion; the paper does not name one.
        temperature: softens the distributions of the combination loss, the softmax of feature vectors; 1 is the
            paper's.
        detach_sources: take the source features as constants.
    """

    utility: bool = True
    combination: bool = True
    verification: bool = True
    evasion: bool = True
    distance: str = "cosine"
    temperature: float = 1.0
    detach_sources: bool = False


# Eq. 4 with all coefficients 1.
EQUAL_WEIGHTS = FixedBalance()


def embed(
    train_set: ImageSet,
    key: WatermarkKey,
    scale: Scale,
    *,
    settings: MEADefenderSSLSettings | None = None,
    simclr: SimCLRSettings | None = None,
    balance: Balance = EQUAL_WEIGHTS,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    features: int | None = None,
    pretrained: Encoder | None = None,
    seed: int = 0,
    after_epoch: Callable[[Encoder, int], dict] | None = None,
    store: Store | None = None,
) -> Encoder:
    """Train an encoder that carries the key's watermark, with the paper's losses.

    Args:
        train_set: the owner's images; labels are looked at for source and target classes and for mixes only.
        key: source classes, target class and combining scheme.
        scale: gives training, network and width where they are not named.
        settings: which losses, and their variants.
        simclr: temperature, views and projection head of the clean task.
        balance: loss weighting, by fixed weights or by Eq. 9 as `MGDABalance()`.
        training: how the loop runs; by default `encoder_training`.
        network: one of `mea_lib.models.NETWORKS`.
        width: channels of its first layer.
        features: F; by default what the network gives.
        pretrained: a clean encoder to go on from; None trains from scratch.
        seed: of the weights and of every draw.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The victim, in evaluation mode.

    Source: MEA-Defender (S&P 2024), Eq. 4–9, SSL.
    """
    settings, simclr = settings or MEADefenderSSLSettings(), simclr or SimCLRSettings()
    views = simclr.views or default_views(train_set.channels)
    autoencoder = train_autoencoder(train_set, scale, store=store) if key.combine == "autoencoder" else None
    return fit_encoder(
        train_set,
        lambda data: mea_defender_ssl_objective(
            data, key, scale.watermark_batch, settings, views, simclr.temperature, autoencoder
        ),
        (training or encoder_training(scale)).but(seed=seed),
        scale=scale,
        recipe={
            "method": "mea-defender-ssl",
            "module": __name__,
            "key": key.to_json(),
            "terms": asdict(settings),
            "watermark_batch": scale.watermark_batch,
            "temperature": simclr.temperature,
            "views": views.to_dict(),
        },
        network=network,
        width=width,
        features=features,
        projection=simclr.projection,
        initial=pretrained,
        balance=balance,
        after_epoch=after_epoch,
        store=store,
    )


def mea_defender_ssl_objective(
    train_set: ImageSet,
    key: WatermarkKey,
    watermark_batch: int,
    settings: MEADefenderSSLSettings,
    views: ViewSettings,
    temperature: float,
    autoencoder: torch.nn.Module | None = None,
) -> Objective:
    """The losses of Eq. 5–8 on one batch, all from a single forward pass."""
    extras = ExtraSamples(train_set, key, watermark_batch, autoencoder=autoencoder)

    def objective(model: Encoder, batch: Batch) -> Terms:
        drawn = extras.draw(batch.generator)
        targets = _clean_images(train_set, extras.target, batch.generator)
        chosen = torch.multinomial(drawn.mix_targets.cpu(), 1, generator=batch.generator)[:, 0]  # y_c
        resembled = _clean_images(train_set, chosen, batch.generator)
        pair = torch.cat(two_views(batch.images, views, batch.generator))  # (2N, C, H, W) in [0, 1]
        others = [drawn.watermarks, drawn.first, drawn.second, drawn.mixes, targets, resembled]
        features = model.features(torch.cat([pair, *(part.float() / 255 for part in others)]))
        clean, watermarks, first, second, mixes, targets, resembled = features.split(
            [len(pair), *map(len, others)]
        )
        losses = {}
        if settings.utility:
            losses["utility"] = nt_xent_loss(*model.project(clean).chunk(2), temperature)
        if settings.combination:
            losses["combination"] = combination_loss(
                watermarks,
                (first, second),
                temperature=settings.temperature,
                detach_sources=settings.detach_sources,
            )
        if settings.verification:
            losses["verification"] = feature_distance(watermarks, targets, settings.distance)
        if settings.evasion:
            losses["evasion"] = feature_distance(mixes, resembled, settings.distance)
        return Terms(losses, features)

    return objective


def _clean_images(images: ImageSet, labels: Tensor, generator: torch.Generator) -> Tensor:
    """A random image of each of these classes, mirrored or not."""
    return mirror(draw_classes(images, labels.cpu(), generator), generator)
