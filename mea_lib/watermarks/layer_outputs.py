"""What the last layers of a network make of images on the way, for losses that look inside."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from mea_lib.models import ImageClassifier


def layers_with_weights(model: ImageClassifier) -> list[nn.Module]:
    """Layers of a network's body in their order: a convolution with its normalisation is one, as is a residual block; of a ResNet's first layer they are two."""
    return [layer for layer in model.body.children() if next(layer.parameters(), None) is not None]


@contextmanager
def outputs_of_layers(layers: list[nn.Module]) -> Iterator[list[Tensor]]:
    """Inside this block the outputs of these layers are kept as the network runs, in that order.

    Hooks read them, so that no network has to give them out; they are gone again afterwards.
    """
    found: list[Tensor] = []

    def keep(_layer: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        found.append(output)

    hooks = [layer.register_forward_hook(keep) for layer in layers]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
