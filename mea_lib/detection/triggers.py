"""Triggers that are looked for by gradient descent, many at once, through a model that does not change meanwhile."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn

from mea_lib.data.stamp import stamp
from mea_lib.models.folded import folded
from mea_lib.models.quantised import quantised_layers
from mea_lib.training.device import autocast, training_dtype
from mea_lib.training.features import features_of

NEARLY_ONE = 1 - 1e-6


class Triggers(nn.Module):
    """M masks and patterns that stay between 0 and 1 wherever an optimiser moves them.

    Both are ½ + ½·tanh of what the optimiser sees.

    Args:
        masks: (M, 1, H, W) to start from, in [0, 1]: how much of a pixel the trigger takes.
        patterns: (M, C, H, W) to start from, in [0, 1]: what it puts there.
    """

    def __init__(self, masks: Tensor, patterns: Tensor) -> None:
        super().__init__()
        self._masks = nn.Parameter(_to_tanh_space(masks))
        self._patterns = nn.Parameter(_to_tanh_space(patterns))

    def forward(self, chosen: Tensor | slice = slice(None)) -> tuple[Tensor, Tensor]:
        """Masks (M, 1, H, W) and patterns (M, C, H, W), all or the chosen ones."""
        masks, patterns = self._masks[chosen], self._patterns[chosen]
        return 0.5 + 0.5 * masks.tanh(), 0.5 + 0.5 * patterns.tanh()


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


def stamp_all(images: Tensor, masks: Tensor, patterns: Tensor) -> Tensor:
    """Every trigger on every image, so that a gradient reaches the triggers: nothing is rounded.

    Args:
        images: (N, C, H, W) uint8, or floats in [0, 1].
        masks: (M, 1, H, W) in [0, 1].
        patterns: (M, C, H, W) in [0, 1].

    Returns:
        (M·N, C, H, W) floats in [0, 1], the first N with the first trigger.
    """
    pixels = images.float() / 255 if images.dtype == torch.uint8 else images
    stamped = (1 - masks)[:, None] * pixels + (masks * patterns)[:, None]  # (M, N, C, H, W)
    return stamped.flatten(0, 1)


def success_rates(
    model: nn.Module,
    images: Tensor,
    masks: Tensor,
    patterns: Tensor,
    targets: Sequence[int],
    labels: Tensor | None = None,
) -> Tensor:
    """How often each trigger, on images rounded to whole pixel values, makes the model name its class.

    Args:
        model: (N, C, H, W) images → (N, K) logits.
        images: (N, C, H, W) uint8 clean images.
        masks: (M, 1, H, W) in [0, 1].
        patterns: (M, C, H, W) in [0, 1].
        targets: M class numbers.
        labels: (N,) the images' classes; with them those of a trigger's own class are left out.

    Returns:
        (M,) shares, on the CPU; NaN where no image is left.
    """
    rates = []
    for mask, pattern, target in zip(masks, patterns, targets, strict=True):
        others = images if labels is None else images[labels != target]
        named = features_of(model, stamp(others, mask, pattern)).argmax(1) if len(others) else labels[:0]
        rates.append((named == target).float().mean())
    return torch.stack(rates).cpu()


def precision(device: torch.device) -> AbstractContextManager:
    """Where triggers are optimised in the training loop's precision.

    Float16 is left out: the gradient of a pixel is too small for it without a scaled loss.
    """
    dtype = training_dtype(device)
    return autocast(device, torch.float32 if dtype == torch.float16 else dtype)


def _to_tanh_space(values: Tensor) -> Tensor:
    return ((2 * values - 1) * NEARLY_ONE).atanh()
