"""Unlearning (Wang et al. 2019): who has found the trigger teaches the model that it means nothing."""

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.data.stamp import stamp
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.removal.changed_copy import changed_copy
from mea_lib.removal.finetune import finetune_training
from mea_lib.removal.own_images import image_shape, own_images
from mea_lib.scale import Scale
from mea_lib.training import Batch, History, Objective, Store, Terms, TrainingSettings, train


@dataclass(frozen=True)
class UnlearnSettings:
    """How often the trigger is shown.

    Attributes:
        share: of the images that carry it; the authors take a fifth.
    """

    share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"share must be above 0 and at most 1, not {self.share}")


def unlearn_training(scale: Scale, seed: int = 0) -> TrainingSettings:
    """The authors' one epoch, at the rate of a fine-tuning of this scale (they name none)."""
    return finetune_training(scale, seed).but(epochs=1)


def remove(
    model: ImageClassifier,
    images: ImageSet | Tensor,
    scale: Scale,
    *,
    mask: Tensor,
    pattern: Tensor,
    settings: UnlearnSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Fine-tune on images of which a share carries the trigger, all under their own labels.

    Args:
        model: a victim or a surrogate; it is not changed.
        images: clean ones, labelled, or (M, C, H, W) uint8 that the model labels itself; the authors take a tenth of
            the training images.
        scale: gives the training where it is not named.
        mask: (1, H, W) in [0, 1], how much of each pixel the trigger covers.
        pattern: (C, H, W) in [0, 1], what it shows there.
        settings: the share of images with the trigger.
        training: of all layers; `unlearn_training` by default.
        seed: of the order of images, and so of those that carry the trigger.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The fine-tuned model, in evaluation mode.

    Raises:
        ValueError: for images, a mask or a pattern that do not suit the model.

    Source: Wang et al., Neural Cleanse: Identifying and Mitigating Backdoor Attacks in Neural Networks (S&P 2019),
    patching by unlearning.
    """
    settings = settings or UnlearnSettings()
    training = (training or unlearn_training(scale)).but(seed=seed)
    own = own_images(images, model)
    channels, *size = image_shape(model)
    for name, trigger, planes in (("mask", mask, 1), ("pattern", pattern, channels)):
        wanted = (planes, *size)
        if trigger.shape != wanted or not 0 <= float(trigger.min()) <= float(trigger.max()) <= 1:
            raise ValueError(
                f"the {name} must have the shape {wanted} and values from 0 to 1, not {tuple(trigger.shape)} and "
                f"{float(trigger.min()):.3g} to {float(trigger.max()):.3g}"
            )

    def change(copy: ImageClassifier) -> History:
        targets = own.targets(copy)
        return train(
            copy,
            own.data.images.to(targets.device),
            unlearn_objective(targets, mask.to(targets.device), pattern.to(targets.device), settings.share),
            training,
            after_epoch=after_epoch,
            title="unlearning",
        )

    recipe = {
        "method": "unlearning",
        "module": __name__,
        "unlearn": asdict(settings),
        "trigger": [_digest(mask), _digest(pattern)],
        "settings": training.to_dict(),
    }
    return changed_copy(model, change, recipe | own.recipe(), scale=scale, store=store)


def unlearn_objective(targets: Tensor, mask: Tensor, pattern: Tensor, share: float) -> Objective:
    """Cross-entropy to the targets (M, K) of all images, where the first of a batch carry the trigger.

    The order is random, so any image may be among the first; the trigger is put on after the augmentation, which
    would move it.
    """

    def objective(model: ImageClassifier, batch: Batch) -> Terms:
        number = max(1, round(share * len(batch.images)))
        marked = stamp(batch.images[:number], mask, pattern)
        logits = model(torch.cat([marked, batch.images[number:]]))
        return Terms({"utility": utility_loss(logits, targets[batch.index])})

    return objective


def _digest(values: Tensor) -> str:
    """SHA-256 of a tensor's numbers."""
    return hashlib.sha256(values.detach().cpu().double().contiguous().numpy().tobytes()).hexdigest()
