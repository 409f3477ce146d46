"""Fine-pruning (Liu et al. 2018): a backdoor lives in channels that clean images leave dormant, so those go first."""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from mea_lib.data import ImageSet
from mea_lib.models import ImageClassifier
from mea_lib.removal.changed_copy import changed_copy
from mea_lib.removal.finetune import finetune_objective, finetune_training
from mea_lib.removal.own_images import own_images
from mea_lib.scale import Scale
from mea_lib.training import History, Store, TrainingSettings, features_of, train


@dataclass(frozen=True)
class FinePruningSettings:
    """How much is cut.

    Attributes:
        share: of the channels of the last convolution, from 0 to below 1; one is always left. The authors cut until
            the accuracy falls (48 of 60 channels for faces).
    """

    share: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"share must be at least 0 and below 1, not {self.share}")


def remove(
    model: ImageClassifier,
    images: ImageSet | Tensor,
    scale: Scale,
    *,
    settings: FinePruningSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    store: Store | None = None,
) -> ImageClassifier:
    """Silence the most dormant channels of the last convolution, then fine-tune the rest.

    Args:
        model: a victim or a surrogate; it is not changed.
        images: clean ones, labelled, or (M, C, H, W) uint8 that the model labels before it is pruned.
        scale: gives the training where it is not named.
        settings: how many channels.
        training: of the fine-tuning; `finetune_training` by default.
        seed: of the order of images.
        store: where finished models are kept.

    Returns:
        The model, in evaluation mode. A silenced channel has no filter, and no bias behind it; in a residual
        network the shortcut's part of the channel is left.

    Raises:
        ValueError: for images that do not suit the model.

    Source: Liu, Dolan-Gavitt and Garg, Fine-Pruning: Defending Against Backdooring Attacks on Deep Neural Networks
    (RAID 2018), arXiv 1805.12185.
    """
    settings = settings or FinePruningSettings()
    training = (training or finetune_training(scale)).but(seed=seed)
    own = own_images(images, model)

    def change(copy: ImageClassifier) -> History:
        targets = own.targets(copy)
        activations = mean_activations(copy, own.data.images)
        number = min(round(settings.share * len(activations)), len(activations) - 1)
        dormant = activations.argsort()[:number]
        silenced = _silence(copy, dormant)
        history = train(
            copy,
            own.data.images.to(targets.device),
            finetune_objective(targets),
            training,
            title="fine-pruning",
        )
        for layer, name in silenced:
            prune.remove(layer, name)
        return history

    recipe = {
        "method": "fine-pruning",
        "module": __name__,
        "fine_pruning": asdict(settings),
        "settings": training.to_dict(),
    }
    return changed_copy(model, change, recipe | own.recipe(), scale=scale, store=store)


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
    found: list[Tensor] = []

    def note(layer: nn.Module, inputs: tuple[Tensor], outputs: Tensor) -> None:
        found.append(outputs.relu().mean((2, 3)))  # (N, channels)

    hook = last_convolution(model)[-1].register_forward_hook(note)
    try:
        features_of(model, images)
    finally:
        hook.remove()
    return torch.cat(found).mean(0)


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
