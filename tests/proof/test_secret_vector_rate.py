"""The watermark rate of SSLGuard: counted one by one, with suspects of every kind."""

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.models import Input
from mea_lib.models.encoder import build_encoder
from mea_lib.models.sslguard import KeyTuple


@pytest.fixture
def encoder(digits):
    return build_encoder("nine_layer_cnn", Input.of(digits.owner), width=2).eval()


@pytest.fixture
def key_tuple(digits, encoder):
    generator = torch.Generator().manual_seed(0)
    mask = torch.rand(1, 16, 16, generator=generator) > 0.65
    trigger, secret = torch.rand(1, 16, 16, generator=generator), torch.randn(4, generator=generator)
    return KeyTuple(digits.owner.images[:30], mask, trigger, secret, features=encoder.size, seed=3)


def counted(encoder, key_tuple, images, threshold):
    """How many, by a loop over images."""
    hits = 0
    for image in images:
        triggered = torch.where(key_tuple.mask, key_tuple.trigger.clamp(0, 1), image / 255)
        triggered = (255 * triggered).round().to(torch.uint8)
        with torch.no_grad():
            decoded = key_tuple.decoder(encoder(triggered[None]))[0]
        hits += (decoded @ key_tuple.secret / (decoded.norm() * key_tuple.secret.norm())).item() > threshold
    return hits


def test_it_is_the_share_of_triggered_images_above_the_threshold(digits, encoder, key_tuple):
    with torch.no_grad():
        cosines = key_tuple.cosines(encoder(key_tuple.queries())).sort().values
    widest = cosines.diff()[5:-5].argmax() + 5  # so that no rounding decides
    between = cosines[widest : widest + 2].mean().item()
    others = digits.test.images[:20]
    for threshold in (between, -1.0, 0.99):
        found = proof.secret_vector_rate(mea.FeatureOracle(encoder), key_tuple, threshold=threshold)
        assert found.trials == 30
        assert found.successes == counted(encoder, key_tuple, key_tuple.images, threshold)
        found = proof.secret_vector_rate(encoder, key_tuple, others, threshold)
        assert (found.successes, found.trials) == (counted(encoder, key_tuple, others, threshold), 20)


def test_each_triggered_image_is_one_query(encoder, key_tuple):
    oracle = mea.FeatureOracle(encoder, budget=30)
    proof.secret_vector_rate(oracle, key_tuple)
    assert oracle.queries == 30


def test_a_row_that_is_not_finite_is_no_answer(encoder, key_tuple):
    def broken(images):
        features = encoder(images).detach()
        features[0, 0], features[1, 0] = torch.nan, torch.inf
        return features

    whole = proof.secret_vector_rate(encoder, key_tuple, threshold=-1.0)
    found = proof.secret_vector_rate(broken, key_tuple, threshold=-1.0)
    assert (whole.successes, whole.unanswered) == (30, 0)
    assert (found.successes, found.trials, found.unanswered) == (28, 30, 2)


def test_what_the_decoder_cannot_read_is_refused(encoder, key_tuple):
    with pytest.raises(ValueError, match=rf"\(30, {encoder.size}\), and the suspect answered \(30, 3\)"):
        proof.secret_vector_rate(lambda images: torch.ones(len(images), 3), key_tuple)
    with pytest.raises(ValueError, match="threshold is a cosine"):
        proof.secret_vector_rate(encoder, key_tuple, threshold=1.0)
