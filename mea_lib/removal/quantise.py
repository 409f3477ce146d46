"""Quantisation: 8-bit weights and activations, as a model gets them that is to run on a phone."""

from dataclasses import asdict, dataclass

from torch import Tensor, nn

from mea_lib.data import ImageSet
from mea_lib.models import ImageClassifier
from mea_lib.models.quantised import BITS, quantise_layers, quantised_layers
from mea_lib.removal.changed_copy import changed_copy
from mea_lib.removal.own_images import own_images
from mea_lib.scale import Scale
from mea_lib.training import Store, features_of


@dataclass(frozen=True)
class QuantiseSettings:
    """How coarse the numbers become.

    Attributes:
        bits: of weights and activations, from 2 to 8.
    """

    bits: int = BITS

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits must lie between 2 and 8, not {self.bits}")


def remove(
    model: ImageClassifier,
    images: ImageSet | Tensor,
    scale: Scale,
    *,
    settings: QuantiseSettings | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Round weights and activations to int8, after training and without training again.

    Weights get a symmetric range for each output channel; the inputs of every layer get one range, from the least to
    the largest value seen on calibration images. The arithmetic is simulated in float32 ("fake quantised"): torch's
    own int8 modules (torch.ao.quantization) are deprecated, run on some CPUs only, and hold packed weights that no
    safetensors file takes; those of their successor torchao are another package.

    Args:
        model: a victim or a surrogate; it is not changed.
        images: for calibration; some hundreds are enough, and labels are not looked at.
        scale: gives its name to the card.
        settings: how many bits.
        store: where finished models are kept.

    Returns:
        The quantised model, in evaluation mode: a classifier of the kind "quantised". It cannot be trained.

    Raises:
        ValueError: for images that do not suit the model.

    Source: Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference
    (CVPR 2018); Krishnamoorthi, Quantizing Deep Convolutional Networks for Efficient Inference (2018), per channel.
    """
    settings = settings or QuantiseSettings()
    data = own_images(images.images if isinstance(images, ImageSet) else images, model).data

    def change(copy: ImageClassifier) -> None:
        ranges = observed_ranges(copy, data.images)
        quantise_layers(copy, settings.bits)
        for layer, (low, high) in zip(quantised_layers(copy), ranges, strict=True):
            layer.set_range(low, high)

    recipe = {
        "method": "quantisation",
        "module": __name__,
        "quantise": asdict(settings),
        "data": data.digest(),
    }
    return changed_copy(model, change, recipe, scale=scale, store=store)


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
