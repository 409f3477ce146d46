"""Shadow extraction by the owner: what would a surrogate make of images that no adversary queries?"""

from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.losses import feature_distance
from mea_lib.models.encoder import Encoder
from mea_lib.models.shifted_encoder import ShiftedEncoder
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Store, Terms, encoder_training, features_of
from mea_lib.training.fit_encoder import fit_encoder


@dataclass(frozen=True)
class RehearsalSettings:
    """How the owner plays the adversary.

    Attributes:
        images: how many of their own images they query, at most.
        epochs: over them; None takes an adversary's.
    """

    images: int = 50_000
    epochs: int | None = None


def rehearse(
    encoder: ShiftedEncoder,
    train_set: ImageSet,
    scale: Scale,
    settings: RehearsalSettings,
    *,
    recipe: dict[str, Any],
    seed: int = 0,
    store: Store | None = None,
) -> Encoder:
    """Extract the owner's own encoder by feature distillation, with the owner's own images and network.

    Args:
        encoder: what is extracted.
        train_set: the owner's images, on the encoder's device.
        scale: gives the surrogate's training.
        settings: images and epochs.
        recipe: what else decides the outcome; it must say how the encoder was made.
        seed: of the surrogate, which is another than the encoder's own.
        store: where the surrogate is kept.
    """
    asked = train_set.subset(min(settings.images, len(train_set)))
    shape = {name: encoder.encoder.spec[name] for name in ("network", "width", "features")}
    return fit_encoder(
        asked,
        lambda data: _objective(features_of(encoder, asked.images)),
        encoder_training(scale).but(
            epochs=settings.epochs or scale.extract_epochs, augment=True, seed=seed + 1_000
        ),
        scale=scale,
        recipe=recipe | {"method": "rehearsal", "rehearsal": asdict(settings)},
        store=store,
        **shape,
    )


def _objective(answers: Tensor) -> Objective:
    def objective(model: Encoder, batch: Batch) -> Terms:
        features = model.features(batch.images)
        return Terms({"distance": feature_distance(features, answers[batch.index])}, features)

    return objective
