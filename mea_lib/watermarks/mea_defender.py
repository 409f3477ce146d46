"""The paper's watermark for supervised models: Eq. 4–9, and what had to be added so that it works."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch.nn import functional as F

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.losses import combination_loss, evasion_loss, utility_loss, verification_loss
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import (
    Balance,
    Batch,
    FixedBalance,
    Objective,
    Store,
    Terms,
    TrainingSettings,
    fit,
    owner_settings,
)
from mea_lib.training.autoencoder import train_autoencoder
from mea_lib.watermarks.samples import ExtraSamples


@dataclass(frozen=True)
class MEADefenderSettings:
    """Which terms of Eq. 4 are used, and how.

    Attributes:
        utility, combination, verification, evasion: whether the term takes part (Eq. 5–8).
        temperature: softens both distributions of the combination loss; 1 is the paper's.
        detach_sources: take the source outputs as constants, as the released code does.
        direction: "forward" is KL(f(x_wm) ‖ f(x_s)) as in Eq. 6, "reverse" swaps the two.
        source_guard: adds cross-entropy on the clean images that were combined. Not in the paper: without it
            the combination loss is met by calling the source classes the target class.
    """

    utility: bool = True
    combination: bool = True
    verification: bool = True
    evasion: bool = True
    temperature: float = 1.0
    detach_sources: bool = False
    direction: str = "forward"
    source_guard: bool = True


# Weights of the terms with which the paper's losses work on this book's networks; notebook 04 shows others.
WORKING_WEIGHTS = FixedBalance({"combination": 0.5, "verification": 1.0, "evasion": 0.5, "source guard": 1.0})


def embed(
    train_set: ImageSet,
    key: WatermarkKey,
    scale: Scale,
    *,
    settings: MEADefenderSettings | None = None,
    balance: Balance = WORKING_WEIGHTS,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    pretrained: ImageClassifier | None = None,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Train a model that carries the key's watermark, with the paper's losses.

    Args:
        train_set: the owner's labelled images.
        key: source classes, target class and combining scheme.
        scale: gives training, network and width where they are not named.
        settings: which losses, and their variants.
        balance: loss weighting, by fixed weights or by Eq. 9 as `MGDABalance()`.
        training: how the loop runs.
        network: one of `mea_lib.models.NETWORKS`.
        width: channels of its first layer.
        pretrained: a clean model to go on from ("pretrained" in the paper); None trains from scratch.
        seed: of the weights and of every draw.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The victim, in evaluation mode.

    Source: MEA-Defender (S&P 2024), Eq. 4–9.
    """
    settings = settings or MEADefenderSettings()
    autoencoder = train_autoencoder(train_set, scale, store=store) if key.combine == "autoencoder" else None
    return fit(
        train_set,
        lambda data: mea_defender_objective(data, key, scale.watermark_batch, settings, autoencoder),
        (training or owner_settings(scale)).but(seed=seed),
        scale=scale,
        recipe={
            "method": "mea-defender",
            "module": __name__,
            "key": key.to_json(),
            "terms": asdict(settings),
            "watermark_batch": scale.watermark_batch,
        },
        network=network,
        width=width,
        initial=pretrained,
        balance=balance,
        after_epoch=after_epoch,
        store=store,
    )


def mea_defender_objective(
    train_set: ImageSet,
    key: WatermarkKey,
    watermark_batch: int,
    settings: MEADefenderSettings,
    autoencoder: torch.nn.Module | None = None,
) -> Objective:
    """The losses of Eq. 5–8 on one batch, all from a single forward pass."""
    extras = ExtraSamples(train_set, key, watermark_batch, autoencoder=autoencoder)
    one_hot = torch.eye(len(train_set.classes), device=train_set.images.device)

    def objective(model: ImageClassifier, batch: Batch) -> Terms:
        drawn = extras.draw(batch.generator)
        parts = [batch.images, drawn.watermarks, drawn.first, drawn.second, drawn.mixes]
        features = model.features(torch.cat(parts))
        logits = model.logits(features).split([len(part) for part in parts])
        clean, watermarks, first, second, mixes = logits
        losses = {}
        if settings.utility:
            losses["utility"] = utility_loss(clean, one_hot[train_set.labels[batch.index]])
        if settings.combination:
            losses["combination"] = combination_loss(
                watermarks,
                (first, second),
                temperature=settings.temperature,
                detach_sources=settings.detach_sources,
                direction=settings.direction,
            )
        if settings.verification:
            losses["verification"] = verification_loss(watermarks, extras.target)
        if settings.evasion:
            losses["evasion"] = evasion_loss(mixes, drawn.mix_targets)
        if settings.source_guard:
            guards = [
                F.cross_entropy(out, labels)
                for out, labels in zip((first, second), extras.sources, strict=True)
            ]
            losses["source guard"] = sum(guards) / 2
        return Terms(losses, features)

    return objective
