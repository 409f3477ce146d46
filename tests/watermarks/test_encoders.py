"""The two watermarks of encoders, on the digits."""

import pytest
import torch

import mea_lib as mea
from mea_lib.models.encoder import build_encoder
from mea_lib.training import GREY_28, Batch, MGDABalance, TrainingSettings
from mea_lib.watermarks import mea_defender_ssl
from mea_lib.watermarks.mea_defender_ssl import MEADefenderSSLSettings, mea_defender_ssl_objective

SMOKE = mea.preset("smoke")
SHORT = TrainingSettings(1, 64, 5e-3, augment=False)


@pytest.fixture
def encoder(digits):
    return build_encoder(
        "nine_layer_cnn",
        channels=1,
        size=16,
        width=2,
        projection=(8, 4),
        mean=digits.train.mean,
        std=digits.train.std,
    ).eval()


def a_batch(digits, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Batch(digits.train.images[:32], torch.arange(32), generator, 0.5)


def paper_terms(encoder, digits, key, **settings):
    objective = mea_defender_ssl_objective(
        digits.train, key, 8, MEADefenderSSLSettings(**settings), GREY_28, 0.5
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
        image.numpy().tobytes(): int(label) for image, label in zip(*_mirrored(digits.train), strict=True)
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
        digits.train, key, SMOKE, training=SHORT, balance=MGDABalance(), store=store
    )
    weights = victim.card["history"]["weights"]
    assert set(weights) == {"utility", "combination", "verification", "evasion"}
    assert all(value[0] >= 0 for value in weights.values())


def test_embedding_into_a_trained_encoder_starts_from_its_weights(digits, key, store):
    clean = mea.train_encoder(digits.train, SMOKE, training=SHORT, store=store)
    still = SHORT.but(
        learning_rate=1e-9, schedule="constant", weight_decay=0.0, optimizer="sgd", momentum=0.0
    )
    victim = mea_defender_ssl.embed(digits.train, key, SMOKE, training=still, pretrained=clean, store=store)
    for name, value in clean.projection.named_parameters():
        torch.testing.assert_close(victim.projection.get_parameter(name), value, atol=1e-5, rtol=0)
    assert victim.card["recipe"]["initial"] == clean.card["weights_sha256"]
