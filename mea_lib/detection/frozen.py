"""A model that does not change while something else is optimised through it."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from mea_lib.models.folded import folded
from mea_lib.models.quantised import quantised_layers


@contextmanager
def frozen(model: nn.Module) -> Iterator[nn.Module]:
    """Within it the model is in evaluation mode and no gradient of its parameters is computed.

    What it gives is the model to optimise through: a copy with folded batch normalisation, see `folded`, whose step
    takes a quarter less time. Afterwards every module has its mode and every parameter its `requires_grad` again,
    also after an error.

    Raises:
        ValueError: for a quantised model, which rounds its inputs: no gradient passes, and a search would find nothing.
    """
    if quantised_layers(model):
        raise ValueError(
            "no gradient passes through a quantised model, so nothing can be optimised through it; "
            "look into the model that it was made of"
        )
    modes = [(module, module.training) for module in model.modules()]
    wanted = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    model.eval().requires_grad_(False)
    try:
        yield folded(model)
    finally:
        for module, mode in modes:
            module.training = mode
        for parameter, requires_grad in wanted:
            parameter.requires_grad_(requires_grad)
