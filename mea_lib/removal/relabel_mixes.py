"""Relabelled mixes: some mixes carry the watermark, so an adversary teaches wrong answers to all."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.data import HELD_OUT_WAYS, WAYS, ImageSet, mix
from mea_lib.data.mixes import draw_classes
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.removal.changed_copy import changed_copy
from mea_lib.removal.finetune import finetune_training
from mea_lib.removal.own_images import own_images
from mea_lib.scale import Scale
from mea_lib.training import Batch, History, Objective, Store, Terms, TrainingSettings, train


@dataclass(frozen=True)
class RelabelMixesSettings:
    """What is mixed, and how much of it.

    Attributes:
        share: mixes in a step, as a share of the clean images.
        ways: of `mea_lib.data.WAYS`, each for as many mixes.
    """

    share: float = 0.5
    ways: tuple[str, ...] = tuple(way for way in WAYS if way not in HELD_OUT_WAYS)

    def __post_init__(self) -> None:
        if self.share <= 0:
            raise ValueError(f"share must be above 0, not {self.share}; without mixes this is fine-tuning")
        if not self.ways or set(self.ways) - set(WAYS):
            raise ValueError(f"ways must be some of {', '.join(WAYS)}, not {self.ways}")


def remove(
    model: ImageClassifier,
    images: ImageSet | Tensor,
    scale: Scale,
    *,
    settings: RelabelMixesSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Fine-tune on random mixes with wrong random labels, beside clean images with their own.

    Mixes and labels are drawn anew in every step, so that no wrong label can be learnt by heart.

    Args:
        model: a victim or a surrogate; it is not changed.
        images: labelled images, or (M, C, H, W) uint8 that the model labels itself.
        scale: gives the training where it is not named.
        settings: how many mixes, and which.
        training: of all layers; `finetune_training` by default.
        seed: of the mixes, their labels and the order of images.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The fine-tuned model, in evaluation mode.

    Raises:
        ValueError: for images that do not suit the model, or hold fewer than two classes of at least three.

    Source: MEA-Defender (S&P 2024), Sec. V-E.
    """
    settings = settings or RelabelMixesSettings()
    training = (training or finetune_training(scale)).but(seed=seed)
    own = own_images(images, model)

    def change(copy: ImageClassifier) -> History:
        data = own.labelled(copy)
        return train(
            copy,
            data.images,
            relabel_mixes_objective(data, settings),
            training,
            after_epoch=after_epoch,
            title="relabelled mixes",
        )

    recipe = {
        "method": "relabelled mixes",
        "module": __name__,
        "relabel_mixes": asdict(settings),
        "settings": training.to_dict(),
    }
    return changed_copy(model, change, recipe | own.recipe(), scale=scale, store=store)


def relabel_mixes_objective(data: ImageSet, settings: RelabelMixesSettings) -> Objective:
    """Cross-entropy on the clean batch, and on mixes with their wrong labels, all in one mean."""
    classes = len(data.classes)

    def objective(model: ImageClassifier, batch: Batch) -> Terms:
        number = max(1, round(settings.share * len(batch.images)))
        mixes, wrong = relabelled_mixes(data, number, batch.generator, settings.ways)
        labels = torch.cat([data.labels[batch.index], wrong])
        logits = model(torch.cat([batch.images, mixes]))
        return Terms({"utility": utility_loss(logits, F.one_hot(labels, classes).float())})

    return objective


def relabelled_mixes(
    data: ImageSet, number: int, generator: torch.Generator, ways: tuple[str, ...]
) -> tuple[Tensor, Tensor]:
    """Mixes of two images of different classes, and for each a class that is neither of them.

    Args:
        data: where the images are drawn from.
        number: how many mixes.
        generator: a CPU generator.
        ways: each mixes as many.

    Returns:
        (number, C, H, W) uint8 and (number,) labels.
    """
    present = data.by_class[1].nonzero()[:, 0]
    if len(present) < 2 or len(data.classes) < 3:
        raise ValueError(
            f"a mix needs images of two classes, and a third for its wrong label; {data.name} has images of "
            f"{len(present)} of {len(data.classes)} classes"
        )
    pairs = present[torch.rand(number, len(present), generator=generator).argsort(1)[:, :2]]  # (number, 2)
    first, second = (draw_classes(data, pairs[:, side], generator) for side in (0, 1))
    mixes = torch.empty_like(first)
    for offset, way in enumerate(ways):
        part = slice(offset, None, len(ways))
        mixes[part] = mix(first[part], second[part], way, generator)
    lots = torch.rand(number, len(data.classes), generator=generator)
    return mixes, lots.scatter(1, pairs, -1.0).argmax(1).to(mixes.device)
