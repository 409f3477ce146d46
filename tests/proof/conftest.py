"""Painted images that several tests of verdicts share."""

import pytest
import torch

from mea_lib.data import ImageSet


@pytest.fixture
def painted():
    """Six classes of 300 different images: the grey is the class, its number stands at the left and right edge."""
    labels = torch.arange(6).repeat_interleave(300)
    images = (labels * 10).to(torch.uint8)[:, None, None, None].expand(-1, 1, 16, 16).contiguous()
    numbers = torch.arange(1800)
    for column in (0, 15):
        images[:, 0, 0, column], images[:, 0, 1, column] = numbers % 250, numbers // 250
    return ImageSet(images, labels, tuple("abcdef"), "painted")
