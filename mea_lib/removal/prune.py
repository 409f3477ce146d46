"""Pruning: set the smallest weights to zero, and train the rest on if the accuracy asks for it."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from mea_lib.data import ImageSet
from mea_lib.models import ImageClassifier
from mea_lib.removal.base import FineTuning
from mea_lib.removal.finetune import finetune_objective
from mea_lib.removal.own_images import OwnImages, own_images
from mea_lib.training import Objective, TrainingSettings

SCOPES = ("global", "layer")


@dataclass(frozen=True)
class Prune(FineTuning):
    """Pruning by magnitude, for good; with images, what is left is fine-tuned, and what was cut stays zero.

    Without images (None) the model is pruned only. Images without labels are labelled by the model before it is pruned.

    Attributes:
        epochs, learning_rate: as `FineTuning`.
        share: of the weights of all convolutions and linear layers, from 0 to below 1.
        scope: "global" cuts the smallest weights wherever they are, "layer" the same share of every layer.

    Source: Han et al., Learning both Weights and Connections for Efficient Neural Networks (NeurIPS 2015);
    MEA-Defender (S&P 2024), Sec. V-E and V-F.
    """

    share: float = 0.8
    scope: str = "global"

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise ValueError(f"share must be at least 0 and below 1, not {self.share}")
        if self.scope not in SCOPES:
            raise ValueError(f"unknown scope {self.scope!r}; choose one of: {', '.join(SCOPES)}")

    def own_images(self, images: ImageSet | Tensor | None, model: ImageClassifier) -> OwnImages | None:
        """The adversary's images, after a check that they suit the model; None where it is pruned only."""
        return None if images is None else own_images(images, model)

    def change(
        self, model: ImageClassifier, images: OwnImages | None, training: TrainingSettings
    ) -> ImageClassifier:
        """Cut the copy, and train it on where there are images."""
        objective = None if images is None else self.objective(model, images)
        model.to(memory_format=torch.contiguous_format)  # torch prunes tensors that it can view as one row
        # As a float: torch takes a whole number for a number of weights.
        layers = _cut(model, float(self.share), self.scope)
        if objective is not None:
            self.train_on(model, images.data.images, objective, training)
        for layer in layers:
            prune.remove(layer, "weight")
        return model

    def objective(self, model: ImageClassifier, images: OwnImages) -> Objective:
        """Cross-entropy to what the images are to be called."""
        return finetune_objective(images.targets(model))


def _cut(model: ImageClassifier, share: float, scope: str) -> list[nn.Module]:
    """Put masks on weights, which `torch.nn.utils.prune` applies at each step; the layers that have them."""
    layers = prunable_layers(model)
    if scope == "global":
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
