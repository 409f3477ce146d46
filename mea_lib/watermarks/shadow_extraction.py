"""Shadow extraction by the owner: what would a surrogate make of images that no adversary queries?"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.losses import feature_distance
from mea_lib.models.encoder import Encoder
from mea_lib.models.shifted_encoder import ShiftedEncoder
from mea_lib.scale import Scale
from mea_lib.training import (
    Batch,
    Method,
    Objective,
    Start,
    Terms,
    TrainingSettings,
    encoder_spec,
    features_of,
    fit,
)


@dataclass(frozen=True)
class ShadowExtraction(Method):
    """How the owner plays the adversary: feature distillation with the owner's own images and network.

    Attributes:
        images: how many of their own images they query, at most.
        epochs: over them; None takes an adversary's.
    """

    images: int = 50_000
    epochs: int | None = None

    def extract(
        self, encoder: ShiftedEncoder, train_set: ImageSet, scale: Scale, *, seed: int = 0, **inputs: Any
    ) -> Encoder:
        """A surrogate of the owner's own encoder.

        Args:
            encoder: what is extracted.
            train_set: the owner's images, on the encoder's device.
            scale: gives the surrogate's training.
            seed: of the surrogate, which is another than the encoder's own.
            inputs: how the encoder was made, for the recipe.
        """
        queries = train_set.subset(min(self.images, len(train_set)))
        shape = encoder.encoder.spec
        shadow_scale = scale.but(network=shape["network"], width=shape["width"])
        return fit(
            queries,
            lambda data: self.objective(features_of(encoder, queries.images)),
            self.training(scale).but(seed=seed + 1_000),
            self.recipe(scale, **inputs),
            Start(encoder_spec(queries, shadow_scale, shape["features"])),
        )

    def training(self, scale: Scale) -> TrainingSettings:
        """How the surrogate is trained."""
        usual = scale.encoder_surrogate
        return usual if self.epochs is None else usual.but(epochs=self.epochs)

    def objective(self, answers: Tensor) -> Objective:
        """The distance between the surrogate's features and the answers (M, F)."""

        def objective(model: Encoder, batch: Batch) -> Terms:
            features = model.features(batch.images)
            return Terms({"distance": feature_distance(features, answers[batch.index])}, features)

        return objective
