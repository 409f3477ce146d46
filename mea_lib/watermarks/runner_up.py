"""This book's watermark: make the target class the runner-up on clean source images, and it travels.

The adversary never sees a combined image. What their surrogate learns are the answers to clean images of the
source classes. There the target class gets a share of the probability, and the other source class next to
none. On a combined image each half then speaks against the other half's class and both speak for the target,
in the victim and in every surrogate of its answers.
"""

from dataclasses import dataclass, replace

import torch

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.losses import (
    evasion_loss,
    rival_loss,
    runner_up_loss,
    runner_up_targets,
    utility_loss,
    verification_loss,
)
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Balance, Batch, FixedBalance, Objective, Terms
from mea_lib.watermarks.base import Watermark
from mea_lib.watermarks.samples import ExtraSamples

WEIGHTS = FixedBalance({"utility": 1.0, "rival": 0.08, "verification": 0.06, "evasion": 0.1, "blended": 0.1})


@dataclass(frozen=True)
class RunnerUp(Watermark):
    """The target class as the runner-up on clean source images.

    Attributes:
        balance: loss weighting.
        share: probability that a clean source image is to give to the target class.
        rival_margin: by how many nats the target's logit is to exceed the other source's on a clean source
            image; 0 leaves this term out.
        blended: whether blended outputs of two clean source images are to be the target class, an older form
            of the same idea that costs more accuracy.
        blend_margin: the weights λ of those blends are drawn from this value to 1 minus it.
        same_pair_share: share of the random mixes that are mixes of the key's own two classes.

    Source: this book's.
    """

    balance: Balance = WEIGHTS
    share: float = 0.3
    rival_margin: float = 6.0
    blended: bool = False
    blend_margin: float = 0.1
    same_pair_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share < 0.5:
            raise ValueError(
                f"share must be at least 0 and below 0.5, or the source class would no longer win; it is {self.share}"
            )
        if not 0 <= self.blend_margin <= 0.5:
            raise ValueError(f"blend_margin must lie between 0 and 0.5, not {self.blend_margin}")

    def extras(self, train_set: ImageSet, key: WatermarkKey, scale: Scale) -> ExtraSamples:
        """What a step trains on beside the clean batch."""
        return replace(super().extras(train_set, key, scale), same_pair_share=self.same_pair_share)

    def objective(self, train_set: ImageSet, extras: ExtraSamples) -> Objective:
        """The losses on one batch, all from a single forward pass."""
        classes_of_key = extras.key.indices(train_set)
        labels = train_set.labels
        targets = runner_up_targets(labels, classes_of_key, self.share, len(train_set.classes))

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            drawn = extras.draw(batch.generator)
            parts = [batch.images, drawn.watermarks, drawn.mixes]
            if self.blended:
                parts += [drawn.first, drawn.second]
            features = model.features(torch.cat(parts))
            clean, watermarks, mixes, *sources = model.logits(features).split([len(part) for part in parts])
            losses = {
                "utility": utility_loss(clean, targets[batch.index]),
                "verification": verification_loss(watermarks, extras.target),
                "evasion": evasion_loss(mixes, drawn.mix_targets),
            }
            if self.rival_margin > 0:
                losses["rival"] = rival_loss(clean, labels[batch.index], classes_of_key, self.rival_margin)
            if self.blended:
                width = 1 - 2 * self.blend_margin
                blend = self.blend_margin + width * torch.rand(len(watermarks), 1, generator=batch.generator)
                losses["blended"] = runner_up_loss(*sources, blend.to(clean.device), extras.target)
            return Terms(losses, features)

        return objective
