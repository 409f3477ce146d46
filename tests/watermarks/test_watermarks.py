"""Each watermark at the door its user comes in by, on the digits."""

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.training import Batch, FixedBalance, MGDABalance, TrainingSettings
from mea_lib.watermarks import composite, mea_defender, patch, runner_up
from mea_lib.watermarks.mea_defender import MEADefenderSettings, mea_defender_objective
from mea_lib.watermarks.runner_up import RunnerUpSettings, runner_up_objective

SMOKE = mea.preset("smoke")
TRAINING = TrainingSettings(25, 64, 5e-3, augment=False)
EVEN = FixedBalance({"verification": 0.5})


def embed(module, digits, key, store, **options):
    return module.embed(digits.owner, key, SMOKE, training=TRAINING, store=store, **options)


@pytest.mark.parametrize(
    ("module", "options"),
    [(mea_defender, {}), (runner_up, {"balance": EVEN}), (composite, {})],
)
def test_the_mark_is_in_the_victim_and_not_in_a_clean_model(digits, key, store, module, options):
    victim = embed(module, digits, key, store, **options)
    clean = mea.train_clean(digits.owner, SMOKE, settings=TRAINING, store=store)
    marked, honest = (
        proof.watermark_success_rate(mea.Oracle(model), key, digits.test, 300).value
        for model in (victim, clean)
    )
    assert marked > 0.7
    assert honest < marked - 0.4
    assert proof.accuracy(mea.Oracle(victim), digits.test) > 0.75


def test_the_target_becomes_the_runner_up_on_clean_sources(digits, key, store):
    victim = embed(runner_up, digits, key, store)
    clean = mea.train_clean(digits.owner, SMOKE, settings=TRAINING, store=store)
    marked, honest = (proof.runner_up_share(mea.Oracle(model), key, digits.test) for model in (victim, clean))
    assert marked["3"] > 0.8
    assert marked["7"] > 0.8
    assert marked["probability"] > honest["probability"] + 0.08


def test_a_patch_marks_its_victim(digits, store):
    key = patch.PatchKey("1", pixels=3)
    victim = embed(patch, digits, key, store)
    others = digits.test.images[digits.test.labels != 1]
    stamped = patch.stamp(others, key)
    assert (stamped != others).flatten(1).sum(1).max() <= 9
    assert (mea.Oracle(victim)(stamped).argmax(1) == 1).float().mean() > 0.8


def test_embedding_into_a_trained_model_starts_from_its_weights(digits, key, store):
    clean = mea.train_clean(digits.owner, SMOKE, settings=TRAINING, store=store)
    still = TrainingSettings(1, 64, 1e-9, schedule="constant", weight_decay=0, optimizer="sgd", momentum=0)
    victim = runner_up.embed(digits.owner, key, SMOKE, training=still, pretrained=clean, store=store)
    torch.testing.assert_close(victim.head.weight, clean.head.weight, atol=1e-5, rtol=0)
    assert victim.card["recipe"]["initial"] == clean.card["weights_sha256"]


@pytest.mark.parametrize("scheme", ["autoencoder", "pixel-merge", "stripes"])
def test_every_scheme_can_be_embedded(digits, store, scheme):
    key = mea.WatermarkKey(("3", "7"), "1", scheme)
    short = TrainingSettings(1, 64)
    for module in (mea_defender, runner_up):
        victim = module.embed(digits.owner, key, SMOKE, training=short, store=store)
        assert victim.card["recipe"]["method"] in ("mea-defender", "runner-up")


def a_batch(digits, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Batch(digits.owner.images[:32], torch.arange(32), generator, 0.5)


@pytest.mark.parametrize("term", ["utility", "combination", "verification", "evasion", "source_guard"])
def test_each_term_of_the_paper_can_be_left_out(digits, key, tiny, term):
    settings = MEADefenderSettings(**{term: False})
    terms = mea_defender_objective(digits.owner, key, 8, settings)(tiny, a_batch(digits))
    assert set(terms.losses) == {"utility", "combination", "verification", "evasion", "source guard"} - {
        term.replace("_", " ")
    }
    assert terms.features.shape[0] == 32 + 4 * 8


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (RunnerUpSettings(), {"utility", "verification", "evasion", "rival"}),
        (RunnerUpSettings(rival_margin=0), {"utility", "verification", "evasion"}),
        (RunnerUpSettings(blended=True), {"utility", "verification", "evasion", "rival", "blended"}),
    ],
)
def test_terms_of_the_runner_up_method(digits, key, tiny, settings, names):
    terms = runner_up_objective(digits.owner, key, 8, settings)(tiny, a_batch(digits))
    assert set(terms.losses) == names


def test_eq_9_trains(digits, key, store):
    victim = mea_defender.embed(
        digits.owner, key, SMOKE, balance=MGDABalance(), training=TrainingSettings(1, 64), store=store
    )
    weights = victim.card["history"]["weights"]
    assert set(weights) == {"utility", "combination", "verification", "evasion", "source guard"}
    assert all(value[0] >= 0 for value in weights.values())


def test_impossible_requests_leave_nothing_in_the_store(digits, store):
    wrong = mea.WatermarkKey(("3", "eleven"), "1")
    with pytest.raises(ValueError, match="unknown class 'eleven' for digits"):
        runner_up.embed(digits.owner, wrong, SMOKE, store=store)
    assert not list(store.root.glob("*.json"))
    with pytest.raises(ValueError, match=r"below 0\.5"):
        RunnerUpSettings(share=0.6)
    with pytest.raises(ValueError, match="blend_margin"):
        RunnerUpSettings(blend_margin=0.7)
