"""Relabelled mixes: some mixes carry the watermark, so an adversary teaches wrong answers to all."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.removal.mix_tuning import MixTuning
from mea_lib.removal.own_images import OwnImages
from mea_lib.training import Batch, Objective, Terms


@dataclass(frozen=True)
class RelabelMixes(MixTuning):
    """Random mixes with wrong random labels, beside clean images with their own.

    Attributes:
        epochs, learning_rate, share, ways: as `MixTuning`.

    Source: MEA-Defender (S&P 2024), Sec. V-E.
    """

    def objective(self, model: ImageClassifier, images: OwnImages) -> Objective:
        """Cross-entropy on the clean batch, and on mixes with their wrong labels, all in one mean."""
        data = images.labelled(model)
        classes = len(data.classes)

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            number = max(1, round(self.share * len(batch.images)))
            mixes, wrong = self.relabelled(data, number, batch.generator)
            labels = torch.cat([data.labels[batch.index], wrong])
            logits = model(torch.cat([batch.images, mixes]))
            return Terms({"utility": utility_loss(logits, F.one_hot(labels, classes).float())})

        return objective

    def relabelled(self, data: ImageSet, number: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Mixes of two images of different classes, and for each a class that is neither of them.

        Args:
            data: where the images are drawn from.
            number: how many mixes.
            generator: a CPU generator.

        Returns:
            (number, C, H, W) uint8 and (number,) labels.

        Raises:
            ValueError: for images of fewer than two classes, or fewer than three classes in all.
        """
        present = data.by_class[1].nonzero()[:, 0]
        if len(present) < 2 or len(data.classes) < 3:
            raise ValueError(
                f"a mix needs images of two classes, and a third for its wrong label; {data.name} has images of "
                f"{len(present)} of {len(data.classes)} classes"
            )
        pairs = present[
            torch.rand(number, len(present), generator=generator).argsort(1)[:, :2]
        ]  # (number, 2)
        mixes = self.mixes(data, pairs, generator)
        drawn = torch.rand(number, len(data.classes), generator=generator)
        return mixes, drawn.scatter(1, pairs, -1.0).argmax(1).to(mixes.device)
