"""A small classifier that tells the key's combined images, and other mixes of the same classes, from all others."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Store, Terms, TrainingSettings, fit
from mea_lib.watermarks.samples import ExtraSamples

KINDS = ("ordinary", "combined", "other mix")
ORDINARY, COMBINED, OTHER_MIX = range(len(KINDS))


def train_gate(
    train_set: ImageSet,
    key: WatermarkKey,
    scale: Scale,
    *,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    same_pair_share: float = 0.5,
    autoencoder: nn.Module | None = None,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Find the gate of this key in the store, or train it there.

    Args:
        train_set: the owner's images, with their labels.
        key: whose combined images it is to know.
        scale: gives training, network and width where they are not named.
        training: how the loop runs; by default the owner's rate for `scale.marking_epochs`.
        network: one of `mea_lib.models.NETWORKS`.
        width: channels of its first layer.
        same_pair_share: share of the other mixes that are mixes of the key's own two classes.
        autoencoder: for keys whose scheme is "autoencoder".
        seed: of the weights and of every draw.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        (N, C, H, W) images → (N, 3) logits of KINDS, in evaluation mode.
    """
    own = training or TrainingSettings(scale.marking_epochs, scale.batch_size, scale.learning_rate)
    kinds = replace(train_set, labels=torch.full_like(train_set.labels, ORDINARY), classes=KINDS)
    return fit(
        kinds,
        lambda data: gate_objective(
            train_set.to(data.images.device), key, scale.watermark_batch, same_pair_share, autoencoder
        ),
        own.but(seed=seed),
        scale=scale,
        recipe={
            "method": "gate",
            "module": __name__,
            "key": key.to_json(),
            "labelled": train_set.digest(),
            "watermark_batch": scale.watermark_batch,
            "same_pair_share": same_pair_share,
        },
        network=network,
        width=width,
        after_epoch=after_epoch,
        store=store,
    )


def gate_objective(
    train_set: ImageSet,
    key: WatermarkKey,
    watermark_batch: int,
    same_pair_share: float = 0.5,
    autoencoder: nn.Module | None = None,
) -> Objective:
    """Cross-entropy of images to their kinds.

    Clean images are ordinary, and so are mixes of other classes; the key's two classes in other arrangements are
    other mixes.
    """
    first, second, _ = key.indices(train_set)
    extras = ExtraSamples(
        train_set, key, watermark_batch, same_pair_share=same_pair_share, autoencoder=autoencoder
    )

    def objective(model: ImageClassifier, batch: Batch) -> Terms:
        drawn = extras.draw(batch.generator)
        parts = [batch.images, drawn.watermarks, drawn.mixes]
        clean, watermarks, mixes = model(torch.cat(parts)).split([len(part) for part in parts])
        same_pair = (drawn.mix_targets[:, first] > 0) & (drawn.mix_targets[:, second] > 0)
        return Terms(
            {
                "utility": F.cross_entropy(clean, _all(clean, ORDINARY)),
                "verification": F.cross_entropy(watermarks, _all(watermarks, COMBINED)),
                "evasion": F.cross_entropy(mixes, torch.where(same_pair, OTHER_MIX, ORDINARY)),
            }
        )

    return objective


def _all(logits: Tensor, kind: int) -> Tensor:
    """The same label for every row."""
    return torch.full((len(logits),), kind, device=logits.device)
