"""A module queried in evaluation mode, and left as it was."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def in_evaluation(model: Any) -> Iterator[None]:
    """Evaluation mode inside the block; afterwards every submodule has its mode and every buffer its numbers again.

    Args:
        model: what is no `nn.Module` is left alone.
    """
    if not isinstance(model, nn.Module):
        yield
        return
    modes = [(part, part.training) for part in model.modules() if hasattr(part, "training")]
    buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
    for part, _ in modes:
        part.training = False
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode
        with torch.no_grad():
            for buffer, before in buffers:
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
