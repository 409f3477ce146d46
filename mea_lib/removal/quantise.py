"""Quantisation: 8-bit weights and activations, as a model gets them that is to run on a phone."""

from dataclasses import dataclass

from torch import Tensor, nn

from mea_lib.data import ImageSet
from mea_lib.models import ImageClassifier
from mea_lib.models.quantised import BITS, quantise_layers, quantised_layers
from mea_lib.removal.base import ChangedCopy
from mea_lib.removal.own_images import OwnImages, own_images
from mea_lib.training import TrainingSettings, features_of


@dataclass(frozen=True)
class Quantise(ChangedCopy):
    """Weights and activations rounded to int8, after training and without training again.

    Weights get a symmetric range for each output channel; the inputs of every layer get one range, from the least to
    the largest value seen on calibration images, of which some hundreds are enough and whose labels are not looked at.
    The arithmetic is simulated in float32 ("fake quantised"): torch's own int8 modules (torch.ao.quantization) are
    deprecated, run on some CPUs only, and hold packed weights that no safetensors file takes; those of their successor
    torchao are another package. The new model is a classifier of the kind "quantised", which cannot be trained.

    Attributes:
        bits: of weights and activations, from 2 to 8.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
    (CVPR 2018); Krishnamoorthi, Quantizing Deep Convolutional Networks for Efficient Inference (2018), per channel.
    """

    bits: int = BITS

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits must lie between 2 and 8, not {self.bits}")

    def own_images(self, images: ImageSet | Tensor, model: ImageClassifier) -> OwnImages:
        """The calibration images, after a check that they suit the model."""
        return own_images(images.images if isinstance(images, ImageSet) else images, model)

    def change(
        self, model: ImageClassifier, images: OwnImages, training: TrainingSettings
    ) -> ImageClassifier:
        """Quantise the copy's layers; nothing is trained."""
        ranges = observed_ranges(model, images.data.images)
        quantise_layers(model, self.bits)
        for layer, (low, high) in zip(quantised_layers(model), ranges, strict=True):
            layer.set_range(low, high)
        return model


def observed_ranges(model: ImageClassifier, images: Tensor) -> list[tuple[float, float]]:
    """The least and the largest input of every convolution and linear layer on these images (M, C, H, W).

    Returns:
        one pair for each layer, in the order of `model.modules()`.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    seen: dict[nn.Module, list[float]] = {layer: [] for layer in layers}

    def note(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        seen[layer] += [inputs[0].min().item(), inputs[0].max().item()]

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        features_of(model, images)
    finally:
        for hook in hooks:
            hook.remove()
    return [(min(seen[layer]), max(seen[layer])) for layer in layers]
