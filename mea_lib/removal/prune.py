"""Pruning: set the smallest weights to zero, and train the rest on if the accuracy asks for it."""

from collections.abc import Mapping
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
from mea_lib.training import History, Store, TrainingSettings, train

SCOPES = ("global", "layer")


@dataclass(frozen=True)
class PruneSettings:
    """How much is cut, and where.

    Attributes:
        share: of the weights of all convolutions and linear layers, from 0 to below 1.
        scope: "global" cuts the smallest weights wherever they are, "layer" the same share of every layer.
    """

    share: float = 0.8
    scope: str = "global"

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"share must be at least 0 and below 1, not {self.share}")
        if self.scope not in SCOPES:
            raise ValueError(f"unknown scope {self.scope!r}; choose one of: {', '.join(SCOPES)}")


def remove(
    model: ImageClassifier,
    images: ImageSet | Tensor | None,
    scale: Scale,
    *,
    settings: PruneSettings | None = None,
    training: TrainingSettings | None = None,
    seed: int = 0,
    store: Store | None = None,
) -> ImageClassifier:
    """Prune the model by magnitude, for good; with images, fine-tune what is left.

    Args:
        model: a victim or a surrogate; it is not changed.
        images: None to prune only; labelled images, or (M, C, H, W) uint8 that the model labels before it is
            pruned, to fine-tune on. What was cut stays zero.
        scale: gives the training where it is not named.
        settings: how much, and where.
        training: of the fine-tuning; `finetune_training` by default.
        seed: of the order of images.
        store: where finished models are kept.

    Returns:
        The pruned model, in evaluation mode; its weights are plain numbers, many of them zero.

    Raises:
        ValueError: for images that do not suit the model.

    Source: Han et al., Learning both Weights and Connections for Efficient Neural Networks (NeurIPS 2015);
    MEA-Defender (S&P 2024), Sec. V-E and V-F.
    """
    settings = settings or PruneSettings()
    own = None if images is None else own_images(images, model)
    recipe = {"method": "pruning", "module": __name__, "prune": asdict(settings)}
    if own is not None:
        training = (training or finetune_training(scale)).but(seed=seed)
        recipe |= own.recipe() | {"settings": training.to_dict()}

    def change(copy: ImageClassifier) -> History | None:
        targets = None if own is None else own.targets(copy)
        copy.to(memory_format=torch.contiguous_format)  # torch prunes tensors that it can view as one row
        layers = _cut(copy, settings)
        history = None
        if own is not None:
            on_device = own.data.images.to(targets.device)
            history = train(
                copy, on_device, finetune_objective(targets), training, title="fine-tuning after pruning"
            )
        for layer in layers:
            prune.remove(layer, "weight")
        return history

    return changed_copy(model, change, recipe, scale=scale, store=store)


def _cut(model: ImageClassifier, settings: PruneSettings) -> list[nn.Module]:
    """Put masks on weights, which `torch.nn.utils.prune` applies at each step; the layers that have them."""
    layers = prunable_layers(model)
    share = float(settings.share)  # torch takes a whole number for a number of weights
    if settings.scope == "global":
        weights = [(layer, "weight") for layer in layers]
        prune.global_unstructured(weights, pruning_method=prune.L1Unstructured, amount=share)
    else:
        for layer in layers:
            prune.l1_unstructured(layer, "weight", amount=share)
    return layers


def prunable_layers(model: nn.Module) -> list[nn.Module]:
    """All convolutions and linear layers, the output layer among them."""
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]


def pruned_share(model: nn.Module) -> float:
    """Share of zeros among the weights of all convolutions and linear layers."""
    weights = [layer.weight for layer in prunable_layers(model)]
    return sum(int((weight == 0).sum()) for weight in weights) / sum(weight.numel() for weight in weights)


def largest_within(curve: Mapping[float, float], points: float) -> float:
    """The largest pruned share that keeps the accuracy within so many percentage points of the whole model's.

    Args:
        curve: accuracy, from 0 to 1, by pruned share; share 0 is the whole model.
        points: percentage points of accuracy that may be lost.

    Raises:
        ValueError: where the curve does not say how good the whole model is.
    """
    if 0 not in curve:
        raise ValueError("the curve needs the accuracy at share 0, the model before pruning, to compare with")
    least = curve[0] - points / 100 - 1e-5  # .90 − .07 is a little more than .83, in float32 too
    return max(share for share, accuracy in curve.items() if accuracy >= least)
