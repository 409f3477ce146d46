"""What several tests of watermarks share."""

import pytest
import torch

from mea_lib.training import Batch


@pytest.fixture
def batch(digits) -> Batch:
    """The first images of the owner."""
    return Batch(digits.owner.images[:32], torch.arange(32), torch.Generator().manual_seed(0), 0.5)
