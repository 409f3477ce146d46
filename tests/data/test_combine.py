"""Combining schemes against slow readings of the paper."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mea_lib.data import SCHEMES, WAYS, combine, ways_to_mix
from mea_lib.data.combine import check_ways
from mea_lib.models.autoencoder import Autoencoder


def batches(number=6, channels=1, size=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    shape = (2, number, channels, size, size)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("size", [16, 27, 28])
def test_crop_paste_pixel_by_pixel(size):
    first, second = batches(size=size)
    combined = combine(first, second, "crop-paste")
    for column in range(size):
        source = first if column < size // 2 else second
        assert torch.equal(combined[..., column], source[..., column])


def test_pixel_merge_is_the_mean_rounded_down():
    first, second = batches(channels=3)
    expected = (first.numpy().astype(int) + second.numpy().astype(int)) // 2
    np.testing.assert_array_equal(combine(first, second, "pixel-merge").numpy(), expected)


@given(seed=st.integers(0, 2**30), size=st.sampled_from([16, 20, 28, 32]))
def test_stripes_take_three_columns_of_the_first_and_two_of_the_second(seed, size):
    first = torch.zeros(4, 1, size, size, dtype=torch.uint8)
    second = torch.full_like(first, 255)
    woven = combine(first, second, "stripes", torch.Generator().manual_seed(seed))
    edges = [round(np.ceil(k * size / 5)) for k in range(6)]
    for image in woven[:, 0]:
        columns = [image[:, a:b] for a, b in itertools.pairwise(edges)]
        assert all(column.unique().numel() == 1 for column in columns)
        assert sum(int(column[0, 0] == 0) for column in columns) == 3


def test_autoencoder_blends_the_codes():
    torch.manual_seed(0)
    autoencoder = Autoencoder(1, 20, 2).eval()
    first, second = batches()
    with torch.no_grad():
        codes = (autoencoder.encode(first / 255) + autoencoder.encode(second / 255)) / 2
        expected = (autoencoder.decode(codes) * 255).round().to(torch.uint8)
    assert torch.equal(combine(first, second, "autoencoder", autoencoder=autoencoder), expected)


@pytest.mark.parametrize("way", ways_to_mix(held_out=True))
def test_every_way_takes_each_pixel_from_the_two_images(way):
    first = torch.zeros(3, 1, 16, 16, dtype=torch.uint8)
    second = torch.full_like(first, 200)
    mixed = combine(first, second, way, torch.Generator().manual_seed(0))
    assert set(mixed.unique().tolist()) <= ({100} if way == "pixel-merge" else {0, 200})
    share = (mixed == 0).float().mean().item()
    assert share == pytest.approx({"pixel-merge": 0, "stripes": 0.6}.get(way, 0.5), abs=0.08)


def test_right_left_is_left_right_of_the_swapped_pair():
    first, second = batches()
    assert torch.equal(combine(first, second, "right-left"), combine(second, first, "left-right"))
    assert torch.equal(combine(first, second, "bottom-top"), combine(second, first, "top-bottom"))


@pytest.mark.parametrize("scheme", [*SCHEMES, "collage"])
def test_bad_input_is_named(scheme):
    first, second = batches()
    if scheme == "collage":
        with pytest.raises(ValueError, match="crop-paste"):
            combine(first, second, scheme)
        return
    with pytest.raises(ValueError, match=r"same shape"):
        combine(first, second[:3], scheme)
    with pytest.raises(TypeError, match="uint8"):
        combine(first.float(), second.float(), scheme)


def test_autoencoder_scheme_without_an_autoencoder():
    with pytest.raises(ValueError, match="train_autoencoder"):
        combine(*batches(), "autoencoder")


def test_what_each_way_is_for():
    assert set(SCHEMES) <= set(WAYS)
    assert set(ways_to_mix(held_out=True)) - set(ways_to_mix()) == {"quadrants"}
    assert not set(ways_to_mix(held_out=True)) & {"crop-paste", "autoencoder"}
    check_ways(["quadrants"])
    for wrong in ((), ("crop-paste",), ("twist", "stripes")):
        with pytest.raises(ValueError, match="some of left-right"):
            check_ways(wrong)
