"""Unlearning (Wang et al. 2019): who has found the trigger teaches the model that it means nothing."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.data.stamp import stamp
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.removal.base import FineTuning
from mea_lib.removal.own_images import OwnImages, image_shape
from mea_lib.training import Batch, Objective, Terms


@dataclass(frozen=True, eq=False, kw_only=True)
class Unlearn(FineTuning):
    """Fine-tuning on images of which a share carries the trigger, all under their own labels.

    Attributes:
        mask: (1, H, W) in [0, 1], how much of each pixel the trigger covers.
        pattern: (C, H, W) in [0, 1], what it shows there.
        share: of the images that carry it; the authors take a fifth, of a tenth of the training images.
        epochs: the authors' one.
        learning_rate: as `FineTuning`; the authors name none.

    Source: Wang et al., Neural Cleanse: Identifying and Mitigating Backdoor Attacks in Neural Networks (S&P 2019),
    patching by unlearning.
    """

    mask: Tensor
    pattern: Tensor
    share: float = 0.2
    epochs: int | None = 1

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, not {self.share}")

    def own_images(self, images: ImageSet | Tensor, model: ImageClassifier) -> OwnImages:
        """The adversary's images, after a check that they and the trigger suit the model."""
        channels, *size = image_shape(model)
        for name, trigger, planes in (("mask", self.mask, 1), ("pattern", self.pattern, channels)):
            wanted = (planes, *size)
            if trigger.shape != wanted or not 0 <= float(trigger.min()) <= float(trigger.max()) <= 1:
                raise ValueError(
                    f"the {name} must have the shape {wanted} and values from 0 to 1, not {tuple(trigger.shape)} and "
                    f"{float(trigger.min()):.3g} to {float(trigger.max()):.3g}"
                )
        return super().own_images(images, model)

    def objective(self, model: ImageClassifier, images: OwnImages) -> Objective:
        """Cross-entropy to the targets of all images, where the first of a batch carry the trigger.

        The order is random, so any image may be among the first; the trigger is put on after the augmentation, which
        would move it.
        """
        targets = images.targets(model)  # (M, K)
        mask, pattern = self.mask.to(targets.device), self.pattern.to(targets.device)

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            number = max(1, round(self.share * len(batch.images)))
            marked = stamp(batch.images[:number], mask, pattern)
            logits = model(torch.cat([marked, batch.images[number:]]))
            return Terms({"utility": utility_loss(logits, targets[batch.index])})

        return objective
