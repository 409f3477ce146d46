"""Extraction with mixed images: what CutMix and MixUp make is torchvision's, the answers are mixed as the images are."""

import pytest
import torch
from torchvision.transforms import v2

import mea_lib as mea
from mea_lib import proof
from mea_lib.extraction import Distillation, MixedDistillation
from mea_lib.extraction.mixed_distillation import cutmix, mixup
from mea_lib.training import Batch


@pytest.mark.parametrize("seed", range(5))
def test_a_rectangle_is_torchvisions(digits, monkeypatch, seed):
    """The same λ and middle, and partners that are the batch rolled by one."""
    images, targets = digits.owner.images[:8], torch.rand(8, 10)
    draw, down, right = torch.rand(3, generator=torch.Generator().manual_seed(seed)).tolist()
    places = iter([torch.tensor([int(right * 16)]), torch.tensor([int(down * 16)])])
    monkeypatch.setattr(torch, "randint", lambda *_, **__: next(places))
    reference = v2.CutMix()
    reference._dist = type("Fixed", (), {"sample": staticmethod(lambda _: draw)})
    expected, mixed_targets = reference(images, targets)
    mixed, own = cutmix(images, images.roll(1, 0), torch.Generator().manual_seed(seed))
    assert torch.equal(mixed, expected)
    torch.testing.assert_close(own * targets + (1 - own) * targets.roll(1, 0), mixed_targets)


@pytest.mark.parametrize("seed", range(3))
def test_a_weighted_mean_is_torchvisions(digits, seed):
    images, targets = digits.owner.images[:8], torch.rand(8, 10)
    mixed, own = mixup(images, images.roll(1, 0), torch.Generator().manual_seed(seed))
    reference = v2.MixUp()
    reference._dist = type("Fixed", (), {"sample": staticmethod(lambda _: own)})
    expected, _ = reference(images.float() / 255, targets)
    torch.testing.assert_close(mixed, expected)


@pytest.mark.parametrize("mix", [cutmix, mixup])
def test_shares_are_spread_over_the_whole_range(mix):
    black, white = (torch.full((1, 1, 20, 20), grey, dtype=torch.uint8) for grey in (0, 255))
    generator = torch.Generator().manual_seed(0)
    for _ in range(50):
        mixed, own = mix(black, white, generator)
        of_partner = mixed.float().mean().item() / (255 if mixed.dtype == torch.uint8 else 1)
        assert 1 - own == pytest.approx(of_partner, abs=1e-6)
    shares = [mix(black, white, generator)[1] for _ in range(500)]
    assert min(shares) < 0.35  # a rectangle in a corner is cut off
    assert max(shares) > 0.9


@pytest.mark.parametrize("kind", ["cutmix", "mixup"])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_the_loss_is_that_of_the_mix_to_the_mixed_answers(tiny, digits, kind, temperature):
    answers = torch.rand(50, 10).softmax(1)
    method = MixedDistillation(temperature=temperature, kind=kind, share=1.0)
    index = torch.arange(5, 13)
    batch = Batch(digits.owner.images[index], index, torch.Generator().manual_seed(3), 0.0)
    loss = method.objective(answers)(tiny, batch).losses["soft"]
    generator = torch.Generator().manual_seed(3)
    torch.rand(1, generator=generator)
    partners = torch.randperm(8, generator=generator)
    mix = {"cutmix": cutmix, "mixup": mixup}[kind]
    mixed, own = mix(batch.images, batch.images[partners], generator)
    wanted = own * answers[index] + (1 - own) * answers[index[partners]]
    soft = wanted.log().div(temperature).softmax(1)
    surrogate = (tiny(mixed) / temperature).log_softmax(1)
    expected = temperature**2 * (soft * (soft.log() - surrogate)).sum(1).mean()
    torch.testing.assert_close(loss, expected)


def test_a_share_of_the_batches_is_mixed(tiny, digits):
    answers = torch.rand(50, 10).softmax(1)
    index = torch.arange(8)
    plain, objective = (one.objective(answers) for one in (Distillation(), MixedDistillation(share=0.3)))
    mixed = 0
    for seed in range(100):
        batch = Batch(digits.owner.images[index], index, torch.Generator().manual_seed(seed), 0.0)
        mixed += not torch.equal(objective(tiny, batch).losses["soft"], plain(tiny, batch).losses["soft"])
    assert 15 <= mixed <= 45


def test_it_extracts_and_sends_each_image_once(digits, victim, learning, store):
    names = set()
    for kind in ("cutmix", "mixup"):
        oracle = mea.Oracle(victim, budget=len(digits.queries))
        surrogate = MixedDistillation(kind=kind).extract(oracle, digits.queries, learning)
        assert oracle.remaining == 0
        assert proof.accuracy(mea.Oracle(surrogate), digits.test) > 0.75
        names.add(surrogate.card["id"])
    assert {card["id"] for card in store.cards()} == names
    assert len(names) == 2


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="cutmix, mixup"):
        MixedDistillation(kind="puzzle")
    with pytest.raises(ValueError, match="share must be above 0"):
        MixedDistillation(share=0)
    with pytest.raises(ValueError, match="no hard label"):
        MixedDistillation(soft_weight=0.5)
