"""Transfer: the model learns another task, and the watermark is read through the output layer of old."""

from collections.abc import Callable
from dataclasses import replace

from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.data.resize import to_form
from mea_lib.models import ImageClassifier
from mea_lib.removal.changed_copy import changed_copy, copy_of, fresh_head
from mea_lib.removal.finetune import finetune_objective
from mea_lib.removal.own_images import image_shape
from mea_lib.scale import Scale
from mea_lib.training import History, Store, TrainingSettings, adversary_settings, train


def remove(
    model: ImageClassifier,
    task: ImageSet,
    scale: Scale,
    *,
    training: TrainingSettings | None = None,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Transfer the model to another task, and put its own output layer back on what became of its body.

    Args, raises: as `transfer`.

    Returns:
        A model of the original classes whose body has learnt the other task, in evaluation mode. Only an
        owner who has the weights can read the watermark so; the other task's labels do not show it.

    Source: MEA-Defender (S&P 2024), Sec. V-F, where STL-10 shares nine of ten classes with CIFAR-10.
    """
    options = {"training": training, "seed": seed, "after_epoch": after_epoch, "store": store}
    return with_head_of(model, transfer(model, task, scale, **options))


def transfer(
    model: ImageClassifier,
    task: ImageSet,
    scale: Scale,
    *,
    training: TrainingSettings | None = None,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Train all layers of the model on another task, with a new output layer for its classes.

    Args:
        model: a victim or a surrogate; it is not changed.
        task: labelled images of the other task, of the model's channels and size.
        scale: gives the training where it is not named.
        training: by default an adversary's, since the new layer has everything to learn.
        seed: of the new layer and of the order of images.
        after_epoch: measures to keep in the history; it sees the model with the new layer.
        store: where finished models are kept.

    Returns:
        The model of the other task, in evaluation mode.

    Raises:
        ValueError: for images of another shape.
    """
    training = (training or adversary_settings(scale)).but(seed=seed)
    classes = len(task.classes)
    wanted, found = image_shape(model), tuple(task.images.shape[1:])
    if found != wanted:
        raise ValueError(
            f"the model takes images of the shape {wanted}, those of {task.name} have {found}; bring them to this form "
            "by as_images_of(model, task)"
        )

    def change(copy: ImageClassifier) -> History:
        copy.head = fresh_head(copy, classes, training.seed)
        copy.spec = copy.spec | {"classes": classes}
        on_device = task.to(copy.head.weight.device)
        targets = F.one_hot(on_device.labels, classes).float()
        return train(
            copy,
            on_device.images,
            finetune_objective(targets),
            training,
            after_epoch=after_epoch,
            title="transfer",
        )

    recipe = {
        "method": "transfer",
        "module": __name__,
        "data": task.digest(),
        "settings": training.to_dict(),
    }
    return changed_copy(model, change, recipe, scale=scale, store=store)


def with_head_of(original: ImageClassifier, transferred: ImageClassifier) -> ImageClassifier:
    """The transferred body under the original's output layer: a new model of the original's classes."""
    whole = copy_of(original)
    whole.body.load_state_dict(transferred.body.state_dict())
    return whole


def as_images_of(model: ImageClassifier, task: ImageSet) -> ImageSet:
    """The images of another task in the model's channels and size, by the rule of `data.resize.to_form`."""
    return replace(task, images=to_form(task.images, model.spec["channels"], model.spec["size"]))
