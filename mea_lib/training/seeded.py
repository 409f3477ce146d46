"""Layers that draw for themselves, such as dropout, draw by a seed wherever a model is trained."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global random state inside this context; afterwards it is as it was.

    Args:
        seed: of what is drawn without a generator.
        device: where it is drawn, beside the CPU.
    """
    on_cpu = device.type == "cpu"
    with torch.random.fork_rng([] if on_cpu else [device], device_type="cuda" if on_cpu else device.type):
        torch.manual_seed(seed)
        yield
