"""Muon for convolutions: momentum whose singular values are all brought near 1 before a step is taken.

Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks (2024), with the settings of
cifar10-airbench: kernels kept at a fixed norm, so that the learning rate is an angle.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor

STEPS = 4
# Of x ← a·x + b·x³ + c·x⁵, which takes singular values from (0, 1] near 1 in few steps.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


class Muon(torch.optim.Optimizer):
    """Orthogonalised Nesterov momentum on kernels that keep the norm √O.

    Args:
        kernels: convolution weights (O, I, H, W).
        lr: learning rate; as every kernel has the norm √O, it is the same angle for each.
        momentum: of the running sum of gradients.
    """

    def __init__(self, kernels: Iterable[Tensor], lr: float = 0.1, momentum: float = 0.6) -> None:
        super().__init__(kernels, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], Tensor] | None = None) -> None:
        """One step down the orthogonalised gradients."""
        for group in self.param_groups:
            for kernel in group["params"]:
                if kernel.grad is None:
                    continue
                state = self.state[kernel]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(kernel)
                running = state["momentum"].mul_(group["momentum"]).add_(kernel.grad)
                ahead = kernel.grad.add(running, alpha=group["momentum"])  # Nesterov
                kernel.mul_(len(kernel) ** 0.5 / kernel.norm().clamp_min(1e-12))
                kernel.sub_(orthogonalised(ahead.flatten(1)).view_as(kernel), alpha=group["lr"])


def orthogonalised(matrix: Tensor, steps: int = STEPS) -> Tensor:
    """The matrix with the same singular vectors and singular values near 1, by Newton–Schulz iteration in float32.

    Args:
        matrix: (O, F).
        steps: of the iteration; values end between about 0.7 and 1.2, which is near enough.
    """
    a, b, c = COEFFICIENTS
    x = matrix.float()
    x = x / x.norm().clamp_min(1e-7)
    if x.shape[0] > x.shape[1]:
        return _iterated(x.T, a, b, c, steps).T.to(matrix.dtype)
    return _iterated(x, a, b, c, steps).to(matrix.dtype)


def _iterated(x: Tensor, a: float, b: float, c: float, steps: int) -> Tensor:
    for _ in range(steps):
        gram = x @ x.T  # (O, O)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x
