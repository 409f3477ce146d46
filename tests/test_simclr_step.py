"""The benchmark of the SimCLR step compares like with like."""

import pytest
import torch

from benchmarks import simclr_step
from mea_lib.training import GREY_28, two_views


def test_both_ways_change_the_images_as_much(digits):
    mean, std = digits.owner.mean[0], digits.owner.std[0]
    pictures = simclr_step._Pictures(digits.owner)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pairs = zip(*(pictures[number] for number in range(900)), strict=True)
        theirs = [torch.stack(pair) * std + mean for pair in pairs]
    ours = two_views(digits.owner.images[:900], GREY_28, torch.Generator().manual_seed(0))
    for own, their in zip(_measures(*ours), _measures(*theirs), strict=True):
        assert own == pytest.approx(their, rel=0.06)


def test_both_ways_make_steps(digits, monkeypatch):
    monkeypatch.setattr(simclr_step, "IMAGES", 32)
    made = []
    make = simclr_step._encoder
    monkeypatch.setattr(simclr_step, "_encoder", lambda train: made.append(make(train)) or made[-1])
    for way in (simclr_step.ours, simclr_step.lightlys):
        step = way(digits.owner)
        before = [parameter.detach().clone() for parameter in made[-1].network.body.parameters()]
        step()
        for old, new in zip(before, made[-1].network.body.parameters(), strict=True):
            assert not torch.equal(old, new)


def _measures(first, second):
    """Mean, spread of the images' means, and mean difference of two views."""
    return first.mean().item(), first.mean((1, 2, 3)).std().item(), (first - second).abs().mean().item()
