"""The two watermarks of encoders, on the digits."""

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.data import random_mixes, watermark_samples
from mea_lib.models import build
from mea_lib.models.encoder import build_encoder
from mea_lib.training import (
    GREY_28,
    Batch,
    MGDABalance,
    Store,
    TrainingSettings,
    features_of,
    fit_linear_probe,
)
from mea_lib.watermarks import mea_defender_ssl, meeting_point
from mea_lib.watermarks.class_plan import PlanSettings
from mea_lib.watermarks.gate import COMBINED, ORDINARY, OTHER_MIX, gate_objective, train_gate
from mea_lib.watermarks.mea_defender_ssl import MEADefenderSSLSettings, mea_defender_ssl_objective
from mea_lib.watermarks.meeting_point import MeetingPointSettings, plan_classes
from mea_lib.watermarks.rehearsal import RehearsalSettings

SMOKE = mea.preset("smoke")
SHORT = TrainingSettings(1, 64, 5e-3, augment=False)
LONG = TrainingSettings(30, 128, 5e-3, augment=False)
DIGITS_KEY = mea.WatermarkKey(("3", "7"), "1", seed=5)
REHEARSED = RehearsalSettings(epochs=30)


@pytest.fixture
def encoder(digits):
    return build_encoder(
        "nine_layer_cnn",
        channels=1,
        size=16,
        width=2,
        projection=(8, 4),
        mean=digits.owner.mean,
        std=digits.owner.std,
    ).eval()


def a_batch(digits, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Batch(digits.owner.images[:32], torch.arange(32), generator, 0.5)


def paper_terms(encoder, digits, key, **settings):
    objective = mea_defender_ssl_objective(
        digits.owner, key, 8, MEADefenderSSLSettings(**settings), GREY_28, 0.5
    )
    return objective(encoder, a_batch(digits))


@pytest.mark.parametrize("term", ["utility", "combination", "verification", "evasion"])
def test_each_term_of_the_paper_can_be_left_out(digits, key, encoder, term):
    terms = paper_terms(encoder, digits, key, **{term: False})
    assert set(terms.losses) == {"utility", "combination", "verification", "evasion"} - {term}
    assert terms.features.shape == (2 * 32 + 6 * 8, 8)


def test_the_papers_terms_are_those_of_its_equations(digits, key, encoder):
    terms = paper_terms(encoder, digits, key, distance="mse")
    watermarks, first, second, mixes, targets, resembled = terms.features[64:].split(8)
    logs = [torch.log(part.softmax(1)) for part in (watermarks, first, second)]
    divergences = [(logs[0].exp() * (logs[0] - source)).sum(1) for source in logs[1:]]
    torch.testing.assert_close(terms.losses["combination"], sum(divergences).mean())
    torch.testing.assert_close(terms.losses["verification"], (watermarks - targets).square().mean())
    torch.testing.assert_close(terms.losses["evasion"], (mixes - resembled).square().mean())


def test_what_the_terms_compare_are_images_of_the_right_classes(digits, key, encoder, monkeypatch):
    """The network is replaced by one that tells the class of every clean image."""
    known = {
        image.numpy().tobytes(): int(label) for image, label in zip(*_mirrored(digits.owner), strict=True)
    }
    seen = []

    def classes(images):
        whole = (images * 255).round().to(torch.uint8)
        seen.extend(known.get(image.numpy().tobytes(), -1) for image in whole)
        return torch.zeros(len(images), 8)

    monkeypatch.setattr(encoder, "features", classes)
    paper_terms(encoder, digits, key)
    watermarks, first, second, mixes, targets, resembled = torch.tensor(seen[64:]).split(8)
    assert (watermarks == -1).all()
    assert (first == 3).all()
    assert (second == 7).all()
    assert (mixes == -1).all()
    assert (targets == 1).all()
    assert (resembled[:4].eq(3) | resembled[:4].eq(7)).all()


def _mirrored(images):
    return torch.cat([images.images, images.images.flip(3)]), images.labels.repeat(2)


def test_the_combination_loss_can_leave_the_sources_alone(digits, key, encoder):
    moved = {}
    for detach in (False, True):
        terms = paper_terms(encoder, digits, key, detach_sources=detach)
        (gradient,) = torch.autograd.grad(terms.losses["combination"], terms.features)
        moved[detach] = gradient[64 + 8 : 64 + 24].abs().sum()
    assert moved[False] > 0
    assert moved[True] == 0


def test_eq_9_balances_the_encoders_losses(digits, key, store):
    victim = mea_defender_ssl.embed(
        digits.owner, key, SMOKE, training=SHORT, balance=MGDABalance(), store=store
    )
    weights = victim.card["history"]["weights"]
    assert set(weights) == {"utility", "combination", "verification", "evasion"}
    assert all(value[0] >= 0 for value in weights.values())


def test_embedding_into_a_trained_encoder_starts_from_its_weights(digits, key, store):
    clean = mea.train_encoder(digits.owner, SMOKE, training=SHORT, store=store)
    still = SHORT.but(
        learning_rate=1e-9, schedule="constant", weight_decay=0.0, optimizer="sgd", momentum=0.0
    )
    victim = mea_defender_ssl.embed(digits.owner, key, SMOKE, training=still, pretrained=clean, store=store)
    for name, value in clean.projection.named_parameters():
        torch.testing.assert_close(victim.projection.get_parameter(name), value, atol=1e-5, rtol=0)
    assert victim.card["recipe"]["initial"] == clean.card["weights_sha256"]


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """A clean encoder of the digits, good enough for a probe, and the store it is in."""
    store = Store(tmp_path_factory.mktemp("store"))
    return mea.train_encoder(digits.owner, SMOKE, training=LONG, store=store), store


@pytest.fixture(scope="module")
def planned(digits, trained):
    """The plan for this encoder, and the shadow extraction it rests on."""
    clean, store = trained
    return plan_classes(
        clean, digits.owner, DIGITS_KEY, SMOKE, MeetingPointSettings(rehearsal=REHEARSED), store=store
    )


def class_means(plan, digits):
    return torch.stack([plan.features[digits.owner.labels == k].mean(0) for k in range(10)])


def test_both_sources_move_by_the_same_vector_and_apart(digits, planned):
    plan, _ = planned
    moves = plan.shift.moves
    means = class_means(plan, digits)
    apart = (means[3] - means[7]) / 2 * (plan.settings.apart - 1)
    torch.testing.assert_close(moves[3] - apart, moves[7] + apart)
    assert moves[[0, 2, 4, 5, 6, 8, 9]].abs().sum() == 0


def test_without_a_rehearsal_the_target_lies_halfway(digits, trained):
    clean, store = trained
    plan, copies = plan_classes(
        clean, digits.owner, DIGITS_KEY, SMOKE, MeetingPointSettings(PlanSettings(rounds=0)), store=store
    )
    places = class_means(plan, digits) + plan.shift.moves
    torch.testing.assert_close(places[1], (places[3] + places[7]) / 2, atol=1e-5, rtol=1e-4)
    assert copies == []


def test_each_round_moves_the_target_to_where_the_copy_puts_combined_images(digits, trained):
    clean, store = trained
    plans = [
        plan_classes(
            clean,
            digits.owner,
            DIGITS_KEY,
            SMOKE,
            MeetingPointSettings(PlanSettings(rounds=rounds), REHEARSED),
            store=store,
        )
        for rounds in (0, 1)
    ]
    (before, _), (after, (copy,)) = plans
    moved = after.shift.moves - before.shift.moves
    combined = features_of(copy, after.combined).mean(0)
    own = features_of(copy, digits.owner.images[digits.owner.labels == 1]).mean(0)
    torch.testing.assert_close(moved[1], after.settings.reach * (combined - own), atol=1e-5, rtol=1e-4)
    assert moved[[0, *range(2, 10)]].abs().sum() == 0


def test_the_rehearsed_copy_is_one_of_the_shifted_encoder(digits, trained):
    clean, store = trained
    plan, (copy,) = plan_classes(
        clean,
        digits.owner,
        DIGITS_KEY,
        SMOKE,
        MeetingPointSettings(PlanSettings(rounds=1), REHEARSED),
        store=store,
    )
    plan.shift.moves[1] = plan_classes(
        clean, digits.owner, DIGITS_KEY, SMOKE, MeetingPointSettings(PlanSettings(rounds=0)), store=store
    )[0].shift.moves[1]
    images = digits.owner.images[:500]
    copied, moved, still = (features_of(one, images) for one in (copy, plan.shifted(), clean))
    assert (copied - moved).square().mean() < 0.3 * (moved - still).square().mean()


def test_the_gate_knows_three_kinds_of_images(digits, store):
    gate = train_gate(digits.owner, DIGITS_KEY, SMOKE, training=LONG, store=store)
    generator = torch.Generator().manual_seed(1)
    same, _ = random_mixes(digits.test, DIGITS_KEY, 300, generator, same_pair_share=1.0)
    others, _ = random_mixes(digits.test, DIGITS_KEY, 300, generator, same_pair_share=0.0)
    combined = watermark_samples(digits.test, DIGITS_KEY, 300)
    for images, kind, least in (
        (digits.test.images, ORDINARY, 0.9),
        (others, ORDINARY, 0.8),
        (combined, COMBINED, 0.9),
        (same, OTHER_MIX, 0.4),
    ):
        assert (mea.Oracle(gate)(images).argmax(1) == kind).float().mean() > least
    assert (mea.Oracle(gate)(same).argmax(1) == COMBINED).float().mean() < 0.15


def test_the_gates_losses_are_cross_entropies_to_its_kinds(digits, key):
    gate = build("nine_layer_cnn", classes=3, channels=1, size=16, width=2, mean=[0.5], std=[0.2]).eval()
    seen = []
    gate.register_forward_hook(lambda module, inputs, output: seen.append(output))
    losses = gate_objective(digits.owner, key, 8)(gate, a_batch(digits)).losses
    logs = seen[0].log_softmax(1)
    torch.testing.assert_close(losses["utility"], -logs[:32, ORDINARY].mean())
    torch.testing.assert_close(losses["verification"], -logs[32:40, COMBINED].mean())
    same, others = logs[40:].split(4)  # half of the mixes are of the key's own two classes
    expected = -torch.cat([same[:, OTHER_MIX], others[:, ORDINARY]]).mean()
    torch.testing.assert_close(losses["evasion"], expected)


def test_a_probe_sees_the_mark_and_the_task(digits, trained):
    clean, store = trained
    victim = meeting_point.embed(
        digits.owner,
        DIGITS_KEY,
        SMOKE,
        settings=MeetingPointSettings(rehearsal=REHEARSED),
        training=LONG,
        pretrained=clean,
        store=store,
    )
    assert victim.card["recipe"]["initial"] == clean.card["weights_sha256"]
    marked, honest = (mea.Oracle(fit_linear_probe(one, digits.owner)) for one in (victim, clean))
    rates = [
        proof.watermark_success_rate(one, DIGITS_KEY, digits.test, 300).value for one in (marked, honest)
    ]
    assert rates[0] > rates[1] + 0.3
    assert proof.accuracy(marked, digits.test) > proof.accuracy(honest, digits.test) - 0.05


@pytest.mark.parametrize("module", [mea_defender_ssl, meeting_point])
def test_every_scheme_can_be_embedded_in_an_encoder(digits, store, module):
    key = mea.WatermarkKey(("3", "7"), "1", "autoencoder")
    victim = module.embed(digits.owner, key, SMOKE, training=SHORT, store=store)
    assert victim.card["recipe"]["key"] == key.to_json()


@pytest.mark.parametrize("wrong", [{"away": -1.0}, {"apart": 0.0}, {"rounds": -1}])
def test_plans_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        PlanSettings(**wrong)


@pytest.mark.parametrize("opens", [-0.01, 1.0])
def test_a_gate_open_for_every_clean_image_is_refused(opens):
    with pytest.raises(ValueError, match="opens"):
        MeetingPointSettings(opens=opens)
