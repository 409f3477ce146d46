"""Where the key's classes stand in a model's answers to clean images of the source classes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.training import features_of


@dataclass(frozen=True)
class ClassPlace:
    """How one class, or one group of classes, does in N answers.

    Attributes:
        rank: (N,) its place among the classes, 1 for the first.
        probability: (N,) from 0 to 1.
        centred_logit: (N,) its logit less the mean over all classes, in nats. Unlike the probability it does not
            vanish where another class is almost certain.
    """

    rank: Tensor
    probability: Tensor
    centred_logit: Tensor

    def summary(self) -> dict[str, float]:
        """Means of the three, and "second": the share of answers in which the class is the runner-up."""
        means = {name: getattr(self, name).float().mean().item() for name in self.__dataclass_fields__}
        return means | {"second": (self.rank == 2).float().mean().item()}


def places_on_sources(model: nn.Module, key: WatermarkKey, test: ImageSet) -> dict[str, ClassPlace]:
    """What a model says to clean images of both source classes, by the part each class plays in the key.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) logits.
        key: source and target classes.
        test: clean images.

    Returns:
        for "own source", "target" and "other source" one value an image, of the first source's images and then
        of the second's; for "third classes" one for each image and each class that is none of these.
    """
    first, second, target = key.indices(test)
    third = [number for number in range(len(test.classes)) if number not in (first, second, target)]
    parts: dict[str, list[ClassPlace]] = {}
    for source, other in ((first, second), (second, first)):
        logits = features_of(model, test.of_class(source)).cpu()  # (N, K)
        chosen = {"own source": [source], "target": [target], "other source": [other], "third classes": third}
        for name, numbers in chosen.items():
            parts.setdefault(name, []).append(_place(logits, numbers))
    return {name: _joined(places) for name, places in parts.items()}


def _place(logits: Tensor, numbers: list[int]) -> ClassPlace:
    """Of these classes in (N, K) logits, one value for each image and class."""
    class_logits = logits[:, numbers]  # (N, C)
    better = (logits[:, None, :] > class_logits[:, :, None]).sum(2)
    return ClassPlace(
        rank=(better + 1).flatten(),
        probability=logits.softmax(1)[:, numbers].flatten(),
        centred_logit=(class_logits - logits.mean(1, keepdim=True)).flatten(),
    )


def _joined(places: list[ClassPlace]) -> ClassPlace:
    names = ClassPlace.__dataclass_fields__
    return ClassPlace(**{name: torch.cat([getattr(place, name) for place in places]) for name in names})
