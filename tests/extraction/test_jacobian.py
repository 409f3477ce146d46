"""Jacobian-based augmentation: the step by hand, the count of queries, the end of a budget."""

import pytest
import torch

import mea_lib as mea
from mea_lib.extraction.jacobian import PAPERNOT, JacobianSettings, extract, jacobian_step
from mea_lib.training import TrainingSettings

SMOKE = mea.preset("smoke")
TRAINING = TrainingSettings(12, 64, 5e-3, augment=False)
SHORT = TrainingSettings(1, 64)


def test_the_step_is_the_sign_of_the_jacobians_row(tiny):
    """Against the whole Jacobian, image by image: noise, since pooling has no derivative where pixels are equal."""
    images = torch.randint(0, 256, (6, 1, 16, 16), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    labels = torch.tensor([0, 3, 9, 1, 1, 4])
    moved = jacobian_step(tiny, images, labels, step=0.1)
    for image, label, after in zip(images, labels, moved, strict=True):
        pixels = image[None].float() / 255
        jacobian = torch.autograd.functional.jacobian(lambda x: tiny(x)[0], pixels)  # (K, 1, C, H, W)
        expected = (pixels[0] + 0.1 * jacobian[label, 0].sign()).clamp(0, 1)
        assert torch.equal(after, (expected * 255).round().to(torch.uint8))


def test_a_step_raises_the_logit_of_the_label_and_a_step_back_lowers_it(tiny, digits):
    images = digits.owner.images[:50]
    labels = tiny(images).argmax(1)
    own = [
        tiny(stepped).gather(1, labels[:, None]).mean().item()
        for stepped in (jacobian_step(tiny, images, labels, step) for step in (-0.02, 0.02))
    ]
    assert own[0] < tiny(images).gather(1, labels[:, None]).mean().item() < own[1]


@pytest.mark.parametrize("step", [0.1, 0.03])
def test_no_pixel_moves_further_than_the_step_or_leaves_the_range(tiny, digits, step):
    images = digits.owner.images[:20]
    moved = jacobian_step(tiny, images, torch.zeros(20, dtype=torch.long), step)
    assert moved.dtype == torch.uint8
    assert (moved.int() - images.int()).abs().max() <= round(255 * step)


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        (JacobianSettings(seed_images=40, rounds=0), 40),
        (JacobianSettings(seed_images=40, rounds=2), 160),
        (JacobianSettings(rounds=2), 1000),
        (JacobianSettings(seed_images=40, rounds=3, reservoir_from=1, reservoir=15), 40 + 40 + 15 + 15),
    ],
)
def test_every_image_is_asked_once(tiny, digits, store, settings, asked):
    oracle = mea.Oracle(tiny)
    extract(oracle, digits.queries[:1000], SMOKE, settings=settings, training=SHORT, store=store)
    assert oracle.queries == asked


def test_a_spent_budget_ends_the_rounds_and_keeps_what_it_paid_for(tiny, digits, store):
    oracle = mea.Oracle(tiny, budget=100)
    settings = JacobianSettings(seed_images=40, rounds=6)
    student = extract(oracle, digits.queries, SMOKE, settings=settings, training=SHORT, store=store)
    assert oracle.remaining == 0
    assert [query.images for query in oracle.log] == [40, 40, 20]
    first_round = JacobianSettings(seed_images=40, rounds=1)
    shorter = extract(
        mea.Oracle(tiny), digits.queries, SMOKE, settings=first_round, training=SHORT, store=store
    )
    assert student.card["id"] in {card["id"] for card in store.cards()} - {shorter.card["id"]}
    with pytest.raises(mea.BudgetSpent):
        extract(mea.Oracle(tiny, budget=39), digits.queries, SMOKE, settings=settings, store=store)


def test_the_sign_turns(tiny, digits, store, monkeypatch):
    from mea_lib.extraction import jacobian

    steps = []

    def record(student, images, labels, step):
        steps.append(step)
        return jacobian_step(student, images, labels, step)

    monkeypatch.setattr(jacobian, "jacobian_step", record)
    settings = JacobianSettings(seed_images=5, rounds=5, turn_every=2)
    extract(mea.Oracle(tiny), digits.queries, SMOKE, settings=settings, training=SHORT, store=store)
    assert steps == [0.1, 0.1, -0.1, -0.1, 0.1]


def test_the_copy_agrees_with_its_victim(digits, store):
    victim = mea.train_clean(digits.owner, SMOKE, settings=TRAINING, store=store)
    copy = extract(mea.Oracle(victim), digits.queries, SMOKE, training=TRAINING, store=store)
    ours, theirs = (mea.Oracle(model)(digits.test.images).argmax(1) for model in (copy, victim))
    assert (ours == theirs).float().mean() > 0.7


def test_impossible_settings_are_refused(tiny, digits):
    for options in ({"seed_images": 0}, {"rounds": -1}, {"step": 0.0}, {"turn_every": 0}, {"reservoir": 0}):
        with pytest.raises(ValueError, match=next(iter(options))):
            JacobianSettings(**options)
    with pytest.raises(ValueError, match="take fewer"):
        extract(mea.Oracle(tiny), digits.queries[:100], SMOKE, settings=PAPERNOT)
