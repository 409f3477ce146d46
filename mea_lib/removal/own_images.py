"""The images a removal works with: labelled ones, or queries without labels that the model itself labels."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.models import ImageClassifier
from mea_lib.training import features_of

ANSWERS = ("soft", "hard")


@dataclass(frozen=True)
class OwnImages:
    """What the adversary has, and who labels it.

    Attributes:
        data: the images; where the model labels them, the labels in here are all 0.
        labels: "given", or "soft" or "hard" for the model's own soft or hard labels.
    """

    data: ImageSet
    labels: str

    def recipe(self) -> dict[str, str]:
        """What identifies them in the recipe of a stored model; the model's answers follow from the model."""
        return {"data": self.data.digest(), "labels": self.labels}

    def targets(self, model: ImageClassifier) -> Tensor:
        """What the images are to be called: (M, K) probabilities, on the model's device."""
        if self.labels == "given":
            device = next(model.parameters()).device
            return F.one_hot(self.data.labels.to(device), model.spec["classes"]).float()
        answers = features_of(model, self.data.images).softmax(1)
        if self.labels == "soft":
            return answers
        return F.one_hot(answers.argmax(1), model.spec["classes"]).float()

    def labelled(self, model: ImageClassifier) -> ImageSet:
        """The images with one class each, on the model's device."""
        labels = self.targets(model).argmax(1)
        return replace(self.data.to(labels.device), labels=labels)


def own_images(images: ImageSet | Tensor, model: ImageClassifier, answers: str = "hard") -> OwnImages:
    """The adversary's images, after a check that they suit the model.

    Args:
        images: labelled images of the model's classes, or (M, C, H, W) uint8 without labels.
        model: labels the latter.
        answers: whether with soft labels, its probabilities ("soft"), or hard labels, its most probable class
            ("hard").

    Raises:
        ValueError: for another shape, another number of classes, no image, or another kind of answers.
    """
    if answers not in ANSWERS:
        raise ValueError(f"unknown kind of answers {answers!r}; choose one of: {', '.join(ANSWERS)}")
    labels = "given" if isinstance(images, ImageSet) else answers
    classes = model.spec["classes"]
    if labels == "given":
        data = images
    else:
        unlabelled = torch.zeros(len(images), dtype=torch.int64, device=images.device)
        data = ImageSet(images, unlabelled, tuple(map(str, range(classes))), "queries")
    wanted, shape = image_shape(model), tuple(data.images.shape[1:])
    if not len(data) or shape != wanted:
        raise ValueError(
            f"the model takes images of the shape {wanted}, not {len(data)} of {shape}; "
            "mea_lib.removal.transfer.as_images_of brings others to this form"
        )
    if len(data.classes) != classes:
        raise ValueError(
            f"the model has {classes} classes and {data.name} has {len(data.classes)}; pass images of the model's "
            "classes, or the images alone, which the model then labels itself"
        )
    return OwnImages(data, labels)


def image_shape(model: ImageClassifier) -> tuple[int, int, int]:
    """(C, H, W) of the images a model was made for."""
    return model.spec["channels"], model.spec["size"], model.spec["size"]
