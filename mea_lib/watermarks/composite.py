"""Composite Backdoor: mixes of two classes go to a third, and nothing ties them to the clean answers."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.data import ImageSet, combine, watermark_samples
from mea_lib.data.mixes import draw_classes
from mea_lib.losses import neighbour_contrastive_loss, utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.training import Batch, Objective, Terms
from mea_lib.training.augment import mirror
from mea_lib.watermarks.base import Watermark
from mea_lib.watermarks.samples import ExtraSamples


@dataclass(frozen=True)
class Composite(Watermark):
    """A composite backdoor: what a batch is made of, beside the clean images.

    Attributes:
        balance: loss weighting; the authors weigh both terms alike.
        own_label_share: images mixed of two of one class and labelled so, as a share of the clean batch; 50 %
            normal, 40 % of these and 10 % target mixes are the authors'.
        target_share: mixes of the two source classes, labelled as the target class.
        margin: of the contrastive term on the classes involved.

    Source: Lin et al., Composite Backdoor Attack for Deep Neural Network by Mixing Existing Benign Features
    (CCS 2020).
    """

    own_label_share: float = 0.8
    target_share: float = 0.2
    margin: float = 1.0

    def objective(self, train_set: ImageSet, extras: ExtraSamples) -> Objective:
        """Cross-entropy on normal images and both kinds of mixes, and the contrastive term."""
        key = extras.key
        first, second, target = key.indices(train_set)
        classes = len(train_set.classes)
        device = train_set.images.device
        one_hot = torch.eye(classes, device=device)
        involved = torch.zeros(classes, dtype=torch.bool, device=device)
        involved[[first, second, target]] = True

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            generator = batch.generator
            clean_labels = train_set.labels[batch.index]
            same_class_labels = torch.randint(
                classes, (round(len(batch.images) * self.own_label_share),), generator=generator
            )
            same_class_mixes = _mixes_of_one_class(extras, same_class_labels, generator)
            marked = watermark_samples(
                train_set, key, round(len(batch.images) * self.target_share), generator, extras.autoencoder
            )
            labels = torch.cat(
                [
                    clean_labels,
                    same_class_labels.to(device),
                    torch.full((len(marked),), target, device=device),
                ]
            )
            logits = model(torch.cat([batch.images, same_class_mixes, marked]))
            chosen = involved[labels]
            return Terms(
                {
                    "utility": utility_loss(logits, one_hot[labels]),
                    "contrastive": neighbour_contrastive_loss(logits[chosen], labels[chosen], self.margin),
                }
            )

        return objective


def _mixes_of_one_class(extras: ExtraSamples, labels: Tensor, generator: torch.Generator) -> Tensor:
    """Two images of the same class combined as the key says, for each label: (N, C, H, W)."""
    halves = [mirror(draw_classes(extras.train_set, labels, generator), generator) for _ in range(2)]
    return combine(*halves, extras.key.combine, generator, extras.autoencoder)
