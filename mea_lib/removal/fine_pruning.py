"""Fine-pruning (Liu et al. 2018): a backdoor lives in channels that clean images leave dormant, so those go first."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from mea_lib.models import ImageClassifier
from mea_lib.removal.base import FineTuning
from mea_lib.removal.finetune import finetune_objective
from mea_lib.removal.own_images import OwnImages
from mea_lib.training import Objective, TrainingSettings, features_of


@dataclass(frozen=True)
class FinePruning(FineTuning):
    """The most dormant channels of the last convolution are silenced, then the rest is fine-tuned.

    A silenced channel has no filter, and no bias behind it; in a residual network the shortcut's part of the channel
    is left. Images without labels are labelled by the model before it is pruned.

    Attributes:
        epochs, learning_rate: as `FineTuning`.
        share: of the channels of the last convolution, from 0 to below 1; one is always left. The authors cut until
            the accuracy falls (48 of 60 channels for faces).

    Source: Liu, Dolan-Gavitt and Garg, Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural Networks
    (RAID 2018), arXiv 1805.12185.
    """

    share: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"share must be at least 0 and below 1, not {self.share}")

    def change(
        self, model: ImageClassifier, images: OwnImages, training: TrainingSettings
    ) -> ImageClassifier:
        """Silence channels of the copy, and train it on."""
        objective = self.objective(model, images)
        activations = mean_activations(model, images.data.images)
        number = min(round(self.share * len(activations)), len(activations) - 1)
        silenced = _silence(model, activations.argsort()[:number])
        self.train_on(model, images.data.images, objective, training)
        for layer, name in silenced:
            prune.remove(layer, name)
        return model

    def objective(self, model: ImageClassifier, images: OwnImages) -> Objective:
        """Cross-entropy to what the images are to be called."""
        return finetune_objective(images.targets(model))


def last_convolution(model: ImageClassifier) -> list[nn.Module]:
    """The last convolution of the body, and the batch normalisation behind it where there is one."""
    layers = [layer for layer in model.body.modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d)]
    return layers[max(place for place, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)) :]


def mean_activations(model: ImageClassifier, images: Tensor) -> Tensor:
    """How active each channel of the last convolution is, after the ReLU: the mean over all images and places.

    Args:
        model: is not changed.
        images: (M, C, H, W) uint8.

    Returns:
        (channels,) on the model's device.
    """
    means: list[Tensor] = []

    def note(layer: nn.Module, inputs: tuple[Tensor], outputs: Tensor) -> None:
        means.append(outputs.relu().mean((2, 3)))  # (N, channels)

    hook = last_convolution(model)[-1].register_forward_hook(note)
    try:
        features_of(model, images)
    finally:
        hook.remove()
    return torch.cat(means).mean(0)


def _silence(model: ImageClassifier, channels: Tensor) -> list[tuple[nn.Module, str]]:
    """Put masks on filters, biases and scales of these channels, which hold in training too; what has a mask."""
    silenced = []
    for layer in last_convolution(model):
        for name, values in list(layer.named_parameters()):
            mask = torch.ones_like(values)
            mask[channels] = 0
            prune.custom_from_mask(layer, name, mask)
            silenced.append((layer, name))
    return silenced
