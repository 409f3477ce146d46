"""Where an owner moves whole classes of an encoder, so that a surrogate's combined images meet the target."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models.encoder import Encoder
from mea_lib.models.shifted_encoder import ClassShift, ShiftedEncoder
from mea_lib.training.features import features_of
from mea_lib.training.linear_probe import fit_linear_head


@dataclass(frozen=True)
class PlanSettings:
    """How the classes are moved.

    Attributes:
        away: how far sources and target go from the classes that combined images are now taken for, in units of
            the target's distance from those.
        apart: how far the sources are from one another afterwards, in units of their distance now.
        rounds: shadow extractions, after each of which the target is moved towards where that surrogate puts
            combined images.
        reach: how far it moves, in units of the way there. The next surrogate puts combined images a little
            further off again, since nothing in them speaks for the target; so more than 1.
        labelled: images of the linear head, at most.
    """

    away: float = 8.0
    apart: float = 2.5
    rounds: int = 1
    reach: float = 1.3
    labelled: int = 10_000

    def __post_init__(self) -> None:
        if self.away < 0 or self.apart <= 0 or self.rounds < 0:
            raise ValueError(
                "away and rounds must be at least 0 and apart above 0, "
                f"not {self.away}, {self.rounds} and {self.apart}"
            )


class ClassPlan:
    """The clean encoder's classes, and the shift that moves them.

    To begin with, both sources are moved by the same vector, which puts the target's mean halfway between them and
    then takes all three away from the rivals, the classes that a probe on the clean encoder takes combined images
    for; and the sources are moved apart. No feature falls below the least value it had.

    Args:
        encoder: the clean encoder.
        train_set: the owner's images with their labels, on the encoder's device.
        key: sources and target.
        settings: how far classes move.
        combined: (M, C, H, W) watermark samples that are no part of a verification.

    Attributes:
        features: (N, F), of the training images in the clean encoder.
        shift: the layer that moves them.
    """

    def __init__(
        self,
        encoder: Encoder,
        train_set: ImageSet,
        key: WatermarkKey,
        settings: PlanSettings,
        combined: Tensor,
    ) -> None:
        self.encoder = encoder
        self.settings = settings
        self.combined = combined
        self.train_set = train_set
        self.first, self.second, self.target = key.indices(train_set)
        self.features = features_of(encoder, train_set.images)
        self.shift = self._still()
        self._begin()

    def meet(self, surrogate: Encoder) -> None:
        """Move the target towards where a surrogate of the shifted encoder puts combined images.

        Measured in the surrogate, from its own mean of the target class: nobody can say that its features
        have the same origin as the owner's.
        """
        of_target = self.train_set.images[self.train_set.labels == self.target]
        here, there = (features_of(surrogate, images).mean(0) for images in (of_target, self.combined))
        self.shift.moves[self.target] += self.settings.reach * (there - here)

    def shifted(self) -> ShiftedEncoder:
        """The clean encoder with the shift as it is now, in evaluation mode."""
        return ShiftedEncoder(self.encoder, self.shift).eval()

    def planned(self) -> Tensor:
        """Where every training image is to be, (N, F)."""
        return self.shift(self.features)

    def fit_head(self, features: Tensor) -> nn.Linear:
        """A user's linear head for features (N, F) of the training images, on their device."""
        some = min(self.settings.labelled, len(features))
        head = fit_linear_head(features[:some], self.train_set.labels[:some], self.train_set.classes)
        return head.to(features.device).requires_grad_(False)

    def _still(self) -> ClassShift:
        """A shift that knows the classes and moves none."""
        shift = ClassShift(len(self.train_set.classes), self.features.shape[1]).to(self.features.device)
        head = self.fit_head(self.features)
        shift.weight.copy_(head.weight)
        shift.bias.copy_(head.bias)
        shift.least.copy_(self.features.amin(0))
        return shift

    def _begin(self) -> None:
        first, second, target = self.first, self.second, self.target
        labels = self.train_set.labels
        means = torch.stack(
            [self.features[labels == k].mean(0) for k in range(len(self.train_set.classes))]
        )  # (K, F)
        rivals = self.shift.shares(features_of(self.encoder, self.combined)).mean(0)  # (K,)
        rivals[[first, second, target]] = 0
        away = self.settings.away * (means[target] - rivals @ means / rivals.sum().clamp_min(1e-12))
        outward = (means[first] - means[second]) / 2 * (self.settings.apart - 1)
        together = means[target] - (means[first] + means[second]) / 2 + away
        moves = self.shift.moves
        moves[first], moves[second], moves[target] = together + outward, together - outward, away
