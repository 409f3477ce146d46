"""Transfer: the model learns another task, and the watermark is read through the output layer of old."""

from dataclasses import dataclass, replace

from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.data.resize import to_form
from mea_lib.models import ImageClassifier
from mea_lib.removal.base import ChangedCopy, copy_of, fresh_head
from mea_lib.removal.finetune import finetune_objective
from mea_lib.removal.own_images import OwnImages, image_shape
from mea_lib.scale import Scale
from mea_lib.training import TrainingSettings


@dataclass(frozen=True)
class Transfer(ChangedCopy):
    """All layers learn another task, as an adversary trains, since the new output layer has everything to learn.

    Source: MEA-Defender (S&P 2024), Sec. V-F, where STL-10 shares nine of ten classes with CIFAR-10.
    """

    def remove(
        self, model: ImageClassifier, images: ImageSet, scale: Scale, *, seed: int = 0
    ) -> ImageClassifier:
        """Transfer the model to another task, and put its own output layer back on what became of its body.

        Args, raises: as `transfer`.

        Returns:
            A model of the original classes whose body has learnt the other task, in evaluation mode. Only an
            owner who has the weights can read the watermark so; the other task's labels do not show it.
        """
        return with_head_of(model, self.transfer(model, images, scale, seed=seed))

    def transfer(
        self, model: ImageClassifier, task: ImageSet, scale: Scale, *, seed: int = 0
    ) -> ImageClassifier:
        """The model of the other task, with a new output layer for its classes.

        Args:
            model: a victim or a surrogate; it is not changed.
            task: labelled images of the other task, of the model's channels and size.
            scale: gives the adversary's training.
            seed: of the new layer and of the order of images.

        Raises:
            TypeError: for images without labels: what the other task is, its labels say.
            ValueError: for images of another shape, or none.
        """
        return super().remove(model, task, scale, seed=seed)

    def own_images(self, images: ImageSet, model: ImageClassifier) -> OwnImages:
        """The images of the other task, after a check that they suit the model."""
        if not isinstance(images, ImageSet):
            raise TypeError(
                "a transfer learns another task by its labels, which the model cannot give; pass an ImageSet of labelled "
                "images of that task"
            )
        if not len(images):
            raise ValueError(f"{images.name} holds no image to learn the other task from; pass some")
        wanted, shape = image_shape(model), tuple(images.images.shape[1:])
        if shape != wanted:
            raise ValueError(
                f"the model takes images of the shape {wanted}, those of {images.name} have {shape}; bring them to "
                "this form by as_images_of(model, task)"
            )
        return OwnImages(images, "given")

    def training(self, scale: Scale) -> TrainingSettings:
        """How the model is trained on."""
        return scale.adversary

    def change(
        self, model: ImageClassifier, images: OwnImages, training: TrainingSettings
    ) -> ImageClassifier:
        """Put a new output layer on the copy, and train all layers."""
        classes = len(images.data.classes)
        model.head = fresh_head(model, classes, training.seed)
        model.spec = model.spec | {"classes": classes}
        targets = F.one_hot(images.data.labels.to(model.head.weight.device), classes).float()
        return self.train_on(model, images.data.images, finetune_objective(targets), training)


def with_head_of(original: ImageClassifier, transferred: ImageClassifier) -> ImageClassifier:
    """The transferred body under the original's output layer: a new model of the original's classes."""
    whole = copy_of(original)
    whole.body.load_state_dict(transferred.body.state_dict())
    return whole


def as_images_of(model: ImageClassifier, task: ImageSet) -> ImageSet:
    """The images of another task in the model's channels and size, by the rule of `data.resize.to_form`."""
    return replace(task, images=to_form(task.images, model.spec["channels"], model.spec["size"]))
