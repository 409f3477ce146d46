"""This book's watermark for encoders: where classes move, the shadow extraction, and what a probe sees of it."""

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.training import TrainingSettings, features_of, fit_linear_probe
from mea_lib.watermarks import MeetingPoint
from mea_lib.watermarks.class_plan import PlanSettings
from mea_lib.watermarks.shadow_extraction import ShadowExtraction

KEY = mea.WatermarkKey(("3", "7"), "1", seed=5)


@pytest.fixture(scope="module")
def longer():
    """Thirty epochs of an encoder and of its gate."""
    training = TrainingSettings(30, 128, 5e-3, augment=False)
    return mea.preset("smoke").but(encoder=training, marking=training)


@pytest.fixture(scope="module")
def clean(digits, longer):
    """A clean encoder of the digits, good enough for a probe."""
    return mea.train_encoder(digits.owner, longer)


@pytest.fixture(scope="module")
def plan_of(digits, clean, longer, store_of_the_session):
    """Plans for this encoder, and the shadow extractions they rest on."""

    def plan(rounds):
        method = MeetingPoint(PlanSettings(rounds=rounds), ShadowExtraction(epochs=30))
        with mea.use_store(store_of_the_session):
            return method.plan_classes(clean, digits.owner, KEY, longer)

    return plan


def class_means(plan, digits):
    return torch.stack([plan.features[digits.owner.labels == k].mean(0) for k in range(10)])


def test_both_sources_move_by_the_same_vector_and_apart(digits, plan_of):
    plan, _ = plan_of(rounds=1)
    moves = plan.shift.moves
    means = class_means(plan, digits)
    apart = (means[3] - means[7]) / 2 * (plan.settings.apart - 1)
    torch.testing.assert_close(moves[3] - apart, moves[7] + apart)
    assert moves[[0, 2, 4, 5, 6, 8, 9]].abs().sum() == 0


def test_without_a_shadow_extraction_the_target_lies_halfway(digits, plan_of):
    plan, surrogates = plan_of(rounds=0)
    places = class_means(plan, digits) + plan.shift.moves
    torch.testing.assert_close(places[1], (places[3] + places[7]) / 2, atol=1e-5, rtol=1e-4)
    assert surrogates == []


def test_each_round_moves_the_target_to_where_the_surrogate_puts_combined_images(digits, plan_of):
    (before, _), (after, (surrogate,)) = plan_of(rounds=0), plan_of(rounds=1)
    moved = after.shift.moves - before.shift.moves
    combined = features_of(surrogate, after.combined).mean(0)
    own = features_of(surrogate, digits.owner.images[digits.owner.labels == 1]).mean(0)
    torch.testing.assert_close(moved[1], after.settings.reach * (combined - own), atol=1e-5, rtol=1e-4)
    assert moved[[0, *range(2, 10)]].abs().sum() == 0


def test_the_shadow_extraction_is_one_of_the_shifted_encoder(digits, clean, plan_of):
    plan, (surrogate,) = plan_of(rounds=1)
    plan.shift.moves[1] = plan_of(rounds=0)[0].shift.moves[1]
    images = digits.owner.images[:500]
    extracted, moved, still = (features_of(one, images) for one in (surrogate, plan.shifted(), clean))
    assert (extracted - moved).square().mean() < 0.3 * (moved - still).square().mean()


def test_a_probe_sees_the_watermark_and_the_task(digits, clean, longer):
    method = MeetingPoint(shadow=ShadowExtraction(epochs=30))
    victim = method.embed(digits.owner, KEY, longer, pretrained=clean)
    assert victim.card["recipe"]["initial"] == clean.card["weights_sha256"]
    marked, without = (mea.Oracle(fit_linear_probe(one, digits.owner)) for one in (victim, clean))
    rates = [proof.watermark_success_rate(one, KEY, digits.test, 300).value for one in (marked, without)]
    assert rates[0] > rates[1] + 0.3
    assert proof.accuracy(marked, digits.test) > proof.accuracy(without, digits.test) - 0.05


def test_another_shadow_training_is_another_victim(digits, quick):
    few = digits.owner.subset(100)
    clean = mea.train_encoder(few, quick)
    names = [
        MeetingPoint().embed(few, KEY, quick.adversary_but(epochs=epochs), pretrained=clean).card["id"]
        for epochs in (1, 2)
    ]
    assert names[0] != names[1]


@pytest.mark.parametrize("wrong", [{"away": -1.0}, {"apart": 0.0}, {"rounds": -1}])
def test_plans_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PlanSettings(**wrong)


@pytest.mark.parametrize("opens", [-0.01, 1.0])
def test_a_gate_open_for_every_clean_image_is_refused(opens):
    with pytest.raises(ValueError, match="opens"):
        MeetingPoint(opens=opens)
