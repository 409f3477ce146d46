"""The paper's watermark for encoders: Eq. 4–8 for self-supervised learning as written; Eq. 9 is an option."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.data.mixes import draw_classes
from mea_lib.losses import combination_loss, feature_distance, nt_xent_loss
from mea_lib.models.encoder import Encoder
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, SimCLR, Start, Terms, TrainingSettings, two_views
from mea_lib.training.augment import mirror
from mea_lib.watermarks.base import Watermark
from mea_lib.watermarks.samples import ExtraSamples


@dataclass(frozen=True)
class MEADefenderSSL(Watermark):
    """The paper's losses for an encoder; labels are looked at for source and target classes and for mixes only.

    Attributes:
        balance: loss weighting; the default gives every term of Eq. 4 the weight 1, and the paper finds the weights by
            Eq. 9, which is `MGDABalance("none")`.
        utility, combination, verification, evasion: whether the term of Eq. 4 takes part (Eq. 2 and 6–8).
        distance: of `mea_lib.losses.feature_distance`, for verification and evasion; the paper does not name one.
        temperature: softens the distributions of the combination loss, the softmax of feature vectors; 1 is the
            paper's.
        detach_sources: take the source features as constants.
        simclr: temperature, views, features and projection head of the clean task.

    Source: MEA-Defender (S&P 2024), Eq. 4–9, SSL.
    """

    utility: bool = True
    combination: bool = True
    verification: bool = True
    evasion: bool = True
    distance: str = "cosine"
    temperature: float = 1.0
    detach_sources: bool = False
    simclr: SimCLR = field(default_factory=SimCLR)

    def training(self, scale: Scale) -> TrainingSettings:
        """How the owner trains."""
        return scale.encoder

    def start(self, train_set: ImageSet, scale: Scale, pretrained: Encoder | None) -> Start:
        """The encoder, and the weights to go on from."""
        return self.simclr.start(train_set, scale, pretrained)

    def objective(self, train_set: ImageSet, extras: ExtraSamples) -> Objective:
        """The losses of Eq. 4 and 5 on one batch, all from a single forward pass."""
        views = self.simclr.views_of(train_set)

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
            if self.utility:
                losses["utility"] = nt_xent_loss(*model.project(clean).chunk(2), self.simclr.temperature)
            if self.combination:
                losses["combination"] = combination_loss(
                    watermarks,
                    (first, second),
                    temperature=self.temperature,
                    detach_sources=self.detach_sources,
                )
            if self.verification:
                losses["verification"] = feature_distance(watermarks, targets, self.distance)
            if self.evasion:
                losses["evasion"] = feature_distance(mixes, resembled, self.distance)
            return Terms(losses, features)

        return objective


def _clean_images(images: ImageSet, labels: Tensor, generator: torch.Generator) -> Tensor:
    """A random image of each of these classes, mirrored or not."""
    return mirror(draw_classes(images, labels.cpu(), generator), generator)
