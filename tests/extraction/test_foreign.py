"""Images of another domain: their shapes, and their pixels against Pillow's."""

import numpy as np
import pytest
import torch
from PIL import Image

import mea_lib as mea
from mea_lib.data.resize import PART
from mea_lib.extraction import Knockoff
from mea_lib.extraction.foreign import adapt


def photographs(number=6, channels=3, height=32, width=32):
    """Smooth images in strong colours, with a class for each residue of three."""
    generator = torch.Generator().manual_seed(3)
    coarse = torch.rand(number, channels, 5, 5, generator=generator)
    images = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1)
    labels = torch.arange(number) % 3
    return mea.ImageSet((images * 255).to(torch.uint8), labels, ("a", "b", "c"), "photographs")


@pytest.mark.parametrize("size", [16, 28, 32, 45])
def test_colours_become_grey_as_in_pillow(size):
    colours = photographs()
    grey = adapt(colours, 1, size)
    for before, after in zip(colours.images, grey.images, strict=True):
        picture = Image.fromarray(before.permute(1, 2, 0).numpy()).convert("L")
        expected = np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))
        assert np.abs(expected.astype(int) - after[0].numpy().astype(int)).max() <= 2


def test_grey_becomes_three_equal_channels(digits):
    colours = adapt(digits.owner, 3, 32)
    assert colours.images.shape == (len(digits.owner), 3, 32, 32)
    assert torch.equal(colours.images[:, 0], colours.images[:, 2])
    assert torch.equal(colours.images[:, :1], adapt(digits.owner, 1, 32).images)


def test_white_stays_white_and_fine_stripes_turn_grey():
    white = mea.ImageSet(torch.full((1, 3, 32, 32), 255, dtype=torch.uint8), torch.tensor([0]), ("a",), "w")
    assert adapt(white, 1, 28).images.min() == 255
    stripes = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    stripes[..., ::2] = 255
    small = adapt(mea.ImageSet(stripes, torch.tensor([0]), ("a",), "s"), 1, 8).images.int()
    assert (small - 128).abs().max() <= 20


def test_images_that_are_not_square_are_squeezed():
    assert adapt(photographs(height=20, width=40), 3, 28).images.shape == (6, 3, 28, 28)


def test_everything_else_is_kept():
    colours = photographs(PART + 7)
    grey = adapt(colours, 1, 16)
    assert grey.images.dtype == torch.uint8
    assert torch.equal(grey.labels, colours.labels)
    assert (grey.classes, grey.name) == (colours.classes, colours.name)
    assert torch.equal(grey.images[-3:], adapt(colours.subset(range(PART + 4, PART + 7)), 1, 16).images)
    assert adapt(colours, 3, 32) is colours


@pytest.mark.parametrize("strategy", ["random", "adaptive"])
def test_an_adversary_queries_photographs(tiny, quick, strategy):
    oracle = mea.Oracle(tiny)
    pool = adapt(photographs(120), 1, 16)
    surrogate = Knockoff(strategy=strategy).extract(oracle, pool, quick)
    assert oracle.queries == 120
    assert surrogate.spec["classes"] == 10


def test_impossible_shapes_are_refused(digits):
    with pytest.raises(ValueError, match="1 or 3 channels, not 2"):
        adapt(digits.owner, 2, 28)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        adapt(digits.owner, 1, 0)
