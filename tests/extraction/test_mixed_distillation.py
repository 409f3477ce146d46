"""Adversaries who know the method: what they do to answers by a slow loop, how they mix by torchvision."""

import pytest
import torch
from torch.nn import functional as F
from torchvision.transforms import v2

import mea_lib as mea
from mea_lib import proof
from mea_lib.extraction import clean_answers, distillation, mixed_distillation
from mea_lib.extraction.clean_answers import CleanAnswersSettings, cleaned
from mea_lib.extraction.distillation import DistillationSettings
from mea_lib.extraction.mixed_distillation import (
    MixedDistillationSettings,
    cutmix,
    mixed_objective,
    mixup,
)
from mea_lib.training import Batch, Store, TrainingSettings

SMOKE = mea.preset("smoke")
TRAINING = TrainingSettings(12, 64, 5e-3, augment=False)
COLD = DistillationSettings(temperature=1.0)


@pytest.fixture(scope="module")
def victim(digits, tmp_path_factory):
    kept = Store(tmp_path_factory.mktemp("victim"))
    return mea.train_clean(digits.owner, SMOKE, settings=TRAINING, store=kept)


@pytest.fixture
def answers():
    return torch.randn(200, 6, generator=torch.Generator().manual_seed(0)).mul(2).softmax(1)


def test_sharpening_is_a_power_and_cutting_keeps_the_largest(answers):
    sharp = cleaned(answers, CleanAnswersSettings(temperature=0.5, top_k=3))
    for before, after in zip(answers.tolist(), sharp.tolist(), strict=True):
        largest = sorted(before)[-3:]
        expected = [p**2 if p in largest else 0.0 for p in before]
        assert after == pytest.approx([p / sum(expected) for p in expected], abs=1e-6)


def test_cleaned_of_nothing_answers_stay_as_they_are(answers):
    torch.testing.assert_close(cleaned(answers, CleanAnswersSettings()), answers)


def test_the_largest_one_alone_is_the_label(answers):
    labels = cleaned(answers, CleanAnswersSettings(top_k=1))
    assert torch.equal(labels, F.one_hot(answers.argmax(1), 6).float())


def test_the_suspected_runner_up_becomes_a_class_like_any_other(answers):
    found = cleaned(answers, CleanAnswersSettings(suspected=(1, 4, 2)))
    for before, after in zip(answers.tolist(), found.tolist(), strict=True):
        named = before.index(max(before))
        expected = list(before)
        if named in (1, 4):
            usual = sorted([before[0], before[3], before[5]])[1]
            expected[2] = expected[4 if named == 1 else 1] = usual
        assert after == pytest.approx([p / sum(expected) for p in expected], abs=1e-6)
    assert torch.equal(found.argmax(1), answers.argmax(1))


def test_the_thief_of_cleaned_answers_trains_as_any_other(digits, victim, store):
    oracle = mea.Oracle(victim)
    settings = CleanAnswersSettings(top_k=1)
    copy = clean_answers.extract(
        oracle, digits.queries, SMOKE, settings=settings, training=TRAINING, store=store
    )
    labels = mea.Oracle(victim, answer="hard")
    same = distillation.extract(labels, digits.queries, SMOKE, settings=COLD, training=TRAINING, store=store)
    assert copy.card["id"] == same.card["id"]
    assert oracle.queries == len(digits.queries)
    assert proof.accuracy(mea.Oracle(copy), digits.test) > 0.75


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
def test_the_loss_is_that_of_the_mix_to_the_mixed_answers(tiny, digits, answers, kind, temperature):
    answers = torch.rand(50, 10).softmax(1)
    settings = MixedDistillationSettings(kind, 1.0, DistillationSettings(temperature=temperature))
    index = torch.arange(5, 13)
    batch = Batch(digits.owner.images[index], index, torch.Generator().manual_seed(3), 0.0)
    loss = mixed_objective(answers, settings)(tiny, batch).losses["soft"]
    generator = torch.Generator().manual_seed(3)
    torch.rand(1, generator=generator)
    partners = torch.randperm(8, generator=generator)
    mix = {"cutmix": cutmix, "mixup": mixup}[kind]
    mixed, own = mix(batch.images, batch.images[partners], generator)
    wanted = own * answers[index] + (1 - own) * answers[index[partners]]
    soft = wanted.log().div(temperature).softmax(1)
    student = (tiny(mixed) / temperature).log_softmax(1)
    expected = temperature**2 * (soft * (soft.log() - student)).sum(1).mean()
    torch.testing.assert_close(loss, expected)


def test_a_share_of_the_batches_is_mixed(tiny, digits):
    answers = torch.rand(50, 10).softmax(1)
    index = torch.arange(8)
    settings = MixedDistillationSettings(share=0.3)
    plain = distillation.distillation_objective(answers, DistillationSettings())
    objective = mixed_objective(answers, settings)
    mixed = 0
    for seed in range(100):
        batch = Batch(digits.owner.images[index], index, torch.Generator().manual_seed(seed), 0.0)
        mixed += not torch.equal(objective(tiny, batch).losses["soft"], plain(tiny, batch).losses["soft"])
    assert 15 <= mixed <= 45


def test_the_mixing_thief_copies_and_asks_each_image_once(digits, victim, store):
    names = []
    for kind in ("cutmix", "mixup"):
        oracle = mea.Oracle(victim, budget=len(digits.queries))
        settings = MixedDistillationSettings(kind)
        copy = mixed_distillation.extract(
            oracle, digits.queries, SMOKE, settings=settings, training=TRAINING, store=store
        )
        assert oracle.remaining == 0
        assert proof.accuracy(mea.Oracle(copy), digits.test) > 0.75
        names.append(copy.card["id"])
    assert len(set(names)) == 2
    assert len(store.cards()) == 2


def test_impossible_settings_are_refused(answers):
    for wrong in ({"temperature": 0}, {"top_k": 0}, {"suspected": (1, 1, 2)}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            CleanAnswersSettings(**wrong)
    with pytest.raises(ValueError, match="between 0 and 5"):
        cleaned(answers, CleanAnswersSettings(suspected=(1, 2, 6)))
    with pytest.raises(ValueError, match="at least one class must remain"):
        cleaned(answers[:, :3], CleanAnswersSettings(suspected=(0, 1, 2)))
    with pytest.raises(ValueError, match="cutmix, mixup"):
        MixedDistillationSettings("puzzle")
    with pytest.raises(ValueError, match="share must be above 0"):
        MixedDistillationSettings(share=0)
    with pytest.raises(ValueError, match="no hard label"):
        MixedDistillationSettings(distillation=DistillationSettings(soft_weight=0.5))
