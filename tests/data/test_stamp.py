"""Triggers on images, by hand."""

import torch

from mea_lib.data.stamp import stamp


def test_a_stamp_by_hand():
    image = torch.tensor([[[[0, 100], [200, 255]]]], dtype=torch.uint8)
    mask = torch.tensor([[[0.0, 1.0], [0.5, 0.25]]])
    pattern = torch.tensor([[[1.0, 0.2], [0.0, 1.0]]])
    assert stamp(image, mask, pattern).flatten().tolist() == [0, 51, 100, 255]


def test_colours_share_one_mask():
    mask = torch.zeros(1, 2, 2)
    mask[0, 0, 0] = 1
    pattern = torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1).expand(3, 2, 2)
    stamped = stamp(torch.zeros(5, 3, 2, 2, dtype=torch.uint8), mask, pattern)
    assert stamped[4, :, 0, 0].tolist() == [51, 102, 153]
    assert stamped.flatten(1).gt(0).sum(1).tolist() == [3] * 5
