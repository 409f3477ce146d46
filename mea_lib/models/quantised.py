"""A classifier that calculates with 8-bit numbers, simulated in float32 so that it runs on every device.

Every convolution and linear layer sees its weights and its inputs rounded to few values. Batch normalisation is not
folded into the convolution before it: weights have a step for each output channel, which such a factor scales too, so
that rounding gives the same before and after.
"""

from typing import Any

import torch
from torch import Tensor, nn

from mea_lib.models import ImageClassifier, Input, build

BITS = 8


class QuantisedLayer(nn.Module):
    """A convolution or a linear layer whose weights and inputs are whole numbers times a step.

    Weights are rounded when the layer is made, symmetrically and for each output channel. The inputs' range has to be
    set by `set_range`. The bias stays as it is: integer arithmetic adds it with 32 bits.

    Args:
        layer: with a weight (O, …); its weights are rounded in place.
        bits: of weights and inputs.
    """

    def __init__(self, layer: nn.Conv2d | nn.Linear, bits: int = BITS) -> None:
        super().__init__()
        self.layer = layer
        self.levels = 2**bits - 1
        with torch.no_grad():
            layer.weight.copy_(rounded_weights(layer.weight, bits))
        self.register_buffer("step", torch.ones(()))
        self.register_buffer("zero", torch.zeros(()))

    def set_range(self, low: float, high: float) -> None:
        """Let inputs from `low` to `high` be told apart, what lies beyond be cut; 0 is among them and exact."""
        low, high = min(low, 0.0), max(high, 0.0)
        step = (high - low) / self.levels or 1.0
        self.step.fill_(step)
        self.zero.fill_(round(-low / step))

    def forward(self, inputs: Tensor) -> Tensor:
        whole = ((inputs / self.step).round() + self.zero).clamp(0, self.levels)
        return self.layer((whole - self.zero) * self.step)


def rounded_weights(weights: Tensor, bits: int = BITS) -> Tensor:
    """Weights (O, …) as whole numbers from −(2^(bits−1) − 1) to 2^(bits−1) − 1, times a step of each output channel."""
    most = 2 ** (bits - 1) - 1
    largest = weights.detach().flatten(1).abs().amax(1).view(-1, *[1] * (weights.ndim - 1))
    step = largest.clamp_min(torch.finfo(weights.dtype).tiny * most) / most
    return (weights / step).round() * step


def quantised_layers(model: nn.Module) -> list[QuantisedLayer]:
    """The quantised layers of a model, in the order they were made."""
    return [layer for layer in model.modules() if isinstance(layer, QuantisedLayer)]


def quantise_layers(model: ImageClassifier, bits: int = BITS) -> None:
    """Put every convolution and linear layer of a classifier into a `QuantisedLayer`, in place."""
    for parent in list(model.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d | nn.Linear):
                setattr(parent, name, QuantisedLayer(layer, bits))
    model.spec = model.spec | {"kind": "quantised", "bits": bits}


def from_spec(spec: dict[str, Any], seed: int = 0) -> ImageClassifier:
    """The quantised classifier another one's `spec` describes, to load its weights and ranges into."""
    inputs, layers = Input.split_from(
        {name: value for name, value in spec.items() if name not in ("kind", "bits")}
    )
    model = build(layers.pop("network"), inputs, **layers, seed=seed)
    quantise_layers(model, spec["bits"])
    return model
