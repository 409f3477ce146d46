"""MixUp-labelled fine-tuning: mixes carry the watermark, so each is labelled what it shows, by halves."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import combinations

import torch
from torch import Tensor

from mea_lib.data import HELD_OUT_WAYS, WAYS, ImageSet, mix
from mea_lib.data.mixes import draw_classes
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.removal.changed_copy import changed_copy
from mea_lib.removal.finetune import finetune_training
from mea_lib.removal.own_images import own_images
from mea_lib.scale import Scale
from mea_lib.training import Batch, History, Objective, Store, Terms, TrainingSettings, train

Pairs = tuple[tuple[str | int, str | int], ...]


@dataclass(frozen=True)
class HonestMixesSettings:
    """What is mixed, and how much of it.

    Attributes:
        share: mixes in a step, as a share of the clean images.
        ways: of `mea_lib.data.WAYS`, each for as many mixes.
        pairs: names or numbers of two classes each, such as a pair that a search has found; either class may come
            first in a mix. None takes all pairs, which needs no search.
    """

    share: float = 0.5
    ways: tuple[str, ...] = tuple(way for way in WAYS if way not in HELD_OUT_WAYS)
    pairs: Pairs | None = None

    def __post_init__(self) -> None:
        if self.share <= 0:
            raise ValueError(f"share must be above 0, not {self.share}; without mixes this is fine-tuning")
        if not self.ways or set(self.ways) - set(WAYS):
            raise ValueError(f"ways must be some of {', '.join(WAYS)}, not {self.ways}")
        if self.pairs is not None and not (
            self.pairs and all(len({*pair}) == len(pair) == 2 for pair in self.pairs)
        ):
            raise ValueError(f"pairs must be at least one pair of two different classes, not {self.pairs}")


def remove(
    model: ImageClassifier,
    images: ImageSet | Tensor,
    scale: Scale,
    *,
    settings: HonestMixesSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Fine-tune on mixes of two classes that are called one half each, beside clean images with their own label.

    `relabel_mixes` teaches wrong answers, and pays for them. A mix that is called what it shows is no lie, so
    the model need not forget anything but the watermark.

    Args:
        model: a victim or a surrogate; it is not changed.
        images: labelled images, or (M, C, H, W) uint8 that the model labels itself.
        scale: gives the training where it is not named.
        settings: which pairs, in which ways, and how many.
        training: of all layers; `finetune_training` by default.
        seed: of the mixes and the order of images.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The fine-tuned model, in evaluation mode.

    Raises:
        ValueError: for images that do not suit the model, or hold no image of a class that is to be mixed.
    """
    settings = settings or HonestMixesSettings()
    training = (training or finetune_training(scale)).but(seed=seed)
    own = own_images(images, model)

    def change(copy: ImageClassifier) -> History:
        data = own.labelled(copy)
        return train(
            copy,
            data.images,
            honest_mixes_objective(data, settings),
            training,
            after_epoch=after_epoch,
            title="honest mixes",
        )

    recipe = {
        "method": "honest mixes",
        "module": __name__,
        "honest_mixes": asdict(settings),
        "settings": training.to_dict(),
    }
    return changed_copy(model, change, recipe | own.recipe(), scale=scale, store=store)


def honest_mixes_objective(data: ImageSet, settings: HonestMixesSettings) -> Objective:
    """Cross-entropy on the clean batch, and on mixes with one half on each of both classes, all in one mean."""
    one_hot = torch.eye(len(data.classes), device=data.images.device)
    pairs = pairs_to_mix(data, settings.pairs)

    def objective(model: ImageClassifier, batch: Batch) -> Terms:
        number = max(1, round(settings.share * len(batch.images)))
        mixes, halves = honest_mixes(data, pairs, number, batch.generator, settings.ways)
        targets = torch.cat([one_hot[data.labels[batch.index]], halves])
        return Terms({"utility": utility_loss(model(torch.cat([batch.images, mixes])), targets)})

    return objective


def honest_mixes(
    data: ImageSet, pairs: Tensor, number: int, generator: torch.Generator, ways: tuple[str, ...]
) -> tuple[Tensor, Tensor]:
    """Mixes of two classes each, and what they show.

    Args:
        data: where the images are drawn from.
        pairs: (P, 2) classes, drawn with replacement and in either order.
        number: how many mixes.
        generator: a CPU generator.
        ways: each mixes as many.

    Returns:
        (number, C, H, W) uint8 and (number, K), one half on each of both classes.
    """
    drawn = pairs[torch.randint(len(pairs), (number,), generator=generator)]  # (number, 2)
    swapped = torch.rand(number, 1, generator=generator) < 0.5
    drawn = torch.where(swapped, drawn.flip(1), drawn)
    first, second = (draw_classes(data, drawn[:, side], generator) for side in (0, 1))
    mixes = torch.empty_like(first)
    for offset, way in enumerate(ways):
        part = slice(offset, None, len(ways))
        mixes[part] = mix(first[part], second[part], way, generator)
    one_hot = torch.eye(len(data.classes), device=mixes.device)
    drawn = drawn.to(mixes.device)
    return mixes, (one_hot[drawn[:, 0]] + one_hot[drawn[:, 1]]) / 2


def pairs_to_mix(data: ImageSet, pairs: Pairs | None) -> Tensor:
    """Numbers (P, 2) of the classes that are mixed: these, or all pairs of classes of which there are images.

    Raises:
        ValueError: for a class without an image, or fewer than two classes with images.
    """
    present = data.by_class[1].nonzero()[:, 0].tolist()
    if pairs is None:
        if len(present) < 2:
            raise ValueError(f"a mix needs images of two classes; {data.name} has images of {len(present)}")
        return torch.tensor(list(combinations(present, 2)))
    numbers = [tuple(data.class_index(name) for name in pair) for pair in pairs]
    missing = {number for pair in numbers for number in pair} - set(present)
    if missing:
        raise ValueError(f"{data.name} holds no image of class {data.classes[min(missing)]!r} to mix")
    return torch.tensor(numbers)
