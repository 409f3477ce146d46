"""WRK (2025): blur the boundaries that watermark samples sit at, and learn an output layer unlike the old one."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss
from mea_lib.models import ImageClassifier
from mea_lib.removal.changed_copy import changed_copy, fresh_head
from mea_lib.removal.own_images import own_images
from mea_lib.scale import Scale
from mea_lib.training import Batch, History, Objective, Store, Terms, TrainingSettings, train


@dataclass(frozen=True)
class WRKSettings:
    """How hard the attack works.

    Attributes:
        moved: clean images that are moved and wrongly labelled.
        step: by which every pixel moves, in standard deviations of its channel (normalised input units); the
            authors take 1 to 3.
        weight: α of the term that pushes the new output layer away from the old; the authors take 0.01 to 0.1.
    """

    moved: int = 100
    step: float = 2.0
    weight: float = 0.01

    def __post_init__(self) -> None:
        if self.moved < 1 or self.step <= 0 or self.weight < 0:
            raise ValueError(
                "moved must be at least 1, step above 0 and weight at least 0, "
                f"not {self.moved}, {self.step} and {self.weight}"
            )


# The authors' training but for its schedule. Theirs falls along a cosine from the first epoch; the loop's one-cycle
# rises for a quarter of the steps before it falls so, and moves the momentum between 0.85 and 0.95 meanwhile.
ORIGINAL_TRAINING = TrainingSettings(
    epochs=10,
    batch_size=32,
    learning_rate=1e-3,
    weight_decay=0.0,
    momentum=0.9,
    optimizer="sgd",
    schedule="one-cycle",
    augment=False,
)


def remove(
    model: ImageClassifier,
    images: ImageSet | Tensor,
    scale: Scale,
    *,
    settings: WRKSettings | None = None,
    training: TrainingSettings = ORIGINAL_TRAINING,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Fine-tune all layers under a new output layer, on clean images and on some that were moved and wrongly labelled.

    Args:
        model: a victim or a surrogate; it is not changed.
        images: the adversary's clean images, the authors' are 5 % of the training images; labelled, or
            (M, C, H, W) uint8 that the model labels itself.
        scale: gives its name to the card.
        settings: how hard it works.
        training: `ORIGINAL_TRAINING` is the authors'. They have 2,500 images, 80 steps an epoch: fewer images
            need more epochs or a higher rate.
        seed: of the images that are moved, where to, of their labels and the new output layer.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The fine-tuned model, in evaluation mode.

    Raises:
        ValueError: for images that do not suit the model, or fewer than are to be moved.

    Source: arXiv 2511.07947, Watermark Removal attacK, as its released code has it, with these differences. There
    all images of a batch are moved towards one class, and the wrong labels leave out the first class. There moved
    images come in whole batches of 32, 128 of them where 100 are asked for, and are not clipped; here they are images
    that anybody could have, with pixels from 0 to 255. There the clean images are mirrored and cropped once, before
    the training; here they stay as they are.
    """
    settings = settings or WRKSettings()
    training = training.but(seed=seed)
    own = own_images(images, model)
    if settings.moved > len(own.data):
        raise ValueError(
            f"{settings.moved} images cannot be moved of {len(own.data)}; pass more, or set moved lower"
        )

    def change(copy: ImageClassifier) -> History:
        data = own.labelled(copy)
        mixed = with_moved_images(copy, data, settings, torch.Generator().manual_seed(training.seed))
        before = copy.head.weight.detach().clone()  # (K, F)
        copy.head = fresh_head(copy, len(data.classes), training.seed)
        return train(
            copy,
            mixed.images,
            wrk_objective(mixed.labels, before, settings.weight),
            training,
            after_epoch=after_epoch,
            title="WRK",
        )

    recipe = {
        "method": "wrk",
        "module": __name__,
        "wrk": asdict(settings),
        "settings": training.to_dict(),
    }
    return changed_copy(model, change, recipe | own.recipe(), scale=scale, store=store)


def with_moved_images(
    model: ImageClassifier, data: ImageSet, settings: WRKSettings, generator: torch.Generator
) -> ImageSet:
    """The clean images, and behind them copies of some, moved towards random classes and wrongly labelled at random."""
    device, classes = data.images.device, len(data.classes)
    chosen = torch.randperm(len(data), generator=generator)[: settings.moved].to(device)
    towards = torch.randint(classes, (settings.moved,), generator=generator).to(device)
    turned = 1 + torch.randint(classes - 1, (settings.moved,), generator=generator).to(device)
    moved = moved_images(model, data.images[chosen], towards, settings.step)
    wrong = (data.labels[chosen] + turned) % classes
    return replace(data, images=torch.cat([data.images, moved]), labels=torch.cat([data.labels, wrong]))


def moved_images(model: ImageClassifier, images: Tensor, towards: Tensor, step: float) -> Tensor:
    """x + λ·σ·sign(∂F_t/∂x), cut to valid pixels: one step towards class t.

    Args:
        model: in evaluation mode, on the images' device.
        images: (N, C, H, W) uint8.
        towards: (N,) classes t.
        step: λ, in standard deviations σ of each channel.

    Returns:
        (N, C, H, W) uint8.
    """
    pixels = (images.float() / 255).requires_grad_()
    logits = model(pixels).gather(1, towards[:, None])  # (N, 1)
    (gradient,) = torch.autograd.grad(logits.sum(), pixels)
    stepped = (pixels.detach() + step * model.std * gradient.sign()).clamp(0, 1)
    return stepped.mul(255).round().to(torch.uint8)


def wrk_objective(labels: Tensor, before: Tensor, weight: float) -> Objective:
    """Cross-entropy to the labels (M,), and α·Σ(W ⊙ W_before) for the output layer's weights W (K, F)."""
    targets = F.one_hot(labels, len(before)).float()  # (M, K)

    def objective(model: ImageClassifier, batch: Batch) -> Terms:
        return Terms(
            {
                "utility": utility_loss(model(batch.images), targets[batch.index]),
                "likeness": weight * (model.head.weight * before).sum(),
            }
        )

    return objective
