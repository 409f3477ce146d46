"""What every watermark is: losses that embed a key while a model trains, from scratch or on from a clean one."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

from torch import nn

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.scale import Scale
from mea_lib.training import (
    Balance,
    FixedBalance,
    Method,
    Objective,
    Start,
    TrainingSettings,
    classifier_spec,
    fit,
)
from mea_lib.training.autoencoder import autoencoder_training, train_autoencoder
from mea_lib.watermarks.samples import ExtraSamples

PLAIN_SUM = FixedBalance()  # all weights 1


@dataclass(frozen=True)
class Watermark(Method, ABC):
    """A watermark: `embed` trains with what `objective` says, in the weighting of `balance`.

    Attributes:
        balance: loss weighting, such as fixed weights or Eq. 9 as `MGDABalance()`.
    """

    balance: Balance = PLAIN_SUM

    def embed(
        self,
        train_set: ImageSet,
        key: WatermarkKey,
        scale: Scale,
        *,
        seed: int = 0,
        pretrained: nn.Module | None = None,
    ) -> nn.Module:
        """Find the model with this watermark in the store, or train it there as the scale's owner does.

        Args:
            train_set: the owner's labelled images.
            key: source classes, target class and combining scheme.
            scale: gives the owner's training, network and width.
            seed: of the weights and of every draw.
            pretrained: a clean model to go on from ("pretrained" in the paper); None trains from scratch.

        Returns:
            The victim, in evaluation mode.
        """
        training, start = self.training(scale).but(seed=seed), self.start(train_set, scale, pretrained)
        recipe = self.recipe(
            scale, key=key, watermark_batch=scale.watermark_batch, combining=combining(key, scale)
        )

        def make_objective(data: ImageSet) -> Objective:
            return self.objective(data, self.extras(data, key, scale))

        return fit(train_set, make_objective, training, recipe, start, self.balance)

    def training(self, scale: Scale) -> TrainingSettings:
        """How the owner trains."""
        return scale.owner

    def start(self, train_set: ImageSet, scale: Scale, pretrained: nn.Module | None) -> Start:
        """The network, and the weights to go on from."""
        return Start(classifier_spec(train_set, scale), pretrained)

    def extras(self, train_set: ImageSet, key: WatermarkKey, scale: Scale) -> ExtraSamples:
        """What a step trains on beside the clean batch."""
        return ExtraSamples(
            train_set, key, scale.watermark_batch, autoencoder=autoencoder_of(key, train_set, scale)
        )

    @abstractmethod
    def objective(self, train_set: ImageSet, extras: ExtraSamples) -> Objective:
        """The losses of a step by name, on a clean batch of `train_set` and on what `extras` draws."""


def autoencoder_of(key: WatermarkKey, train_set: ImageSet, scale: Scale) -> nn.Module | None:
    """The autoencoder that combines a key's images, where its scheme is "autoencoder"."""
    return train_autoencoder(train_set, scale) if combining(key, scale) else None


def combining(key: WatermarkKey, scale: Scale) -> dict[str, Any] | None:
    """What decides that autoencoder, for recipes; None for a key of another scheme, or of none."""
    if getattr(key, "combine", None) != "autoencoder":
        return None
    return {"width": scale.autoencoder_width, "training": autoencoder_training(scale)}
