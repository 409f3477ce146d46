"""One step of images along the sign of a gradient: towards a class, or away from it."""

import torch
from torch import Tensor, nn

BATCH = 1_000


def sign_step(model: nn.Module, images: Tensor, classes: Tensor, step: float | Tensor) -> Tensor:
    """x + λ·sign(∂F_y/∂x), cut to valid pixels, where F are the model's logits.

    Args:
        model: in evaluation mode.
        images: (N, C, H, W) uint8.
        classes: (N,) y.
        step: λ, of the pixel range [0, 1]: one number, or (1, C, 1, 1) on the model's device.

    Returns:
        (N, C, H, W) uint8, on the images' device.
    """
    device = next(model.parameters()).device
    moved = []
    for part, part_classes in zip(images.split(BATCH), classes.split(BATCH), strict=True):
        pixels = (part.to(device).float() / 255).requires_grad_()
        logits = model(pixels).gather(1, part_classes.to(device)[:, None])  # (N, 1)
        (gradient,) = torch.autograd.grad(logits.sum(), pixels)
        stepped = (pixels.detach() + step * gradient.sign()).clamp(0, 1)
        moved.append(stepped.mul(255).round().to(torch.uint8).to(part.device))
    return torch.cat(moved)
