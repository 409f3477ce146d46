"""The paper's watermark for encoders: its terms are those of its equations, on images of the right classes."""

import pytest
import torch

import mea_lib as mea
from mea_lib.models import Input
from mea_lib.models.encoder import build_encoder
from mea_lib.watermarks import MEADefenderSSL
from mea_lib.watermarks.samples import ExtraSamples


@pytest.fixture
def encoder(digits):
    shape = {"inputs": Input.of(digits.owner), "width": 2}
    return build_encoder("nine_layer_cnn", projection=(8, 4), **shape).eval()


@pytest.fixture
def paper_terms(encoder, digits, key, batch):
    """The terms on a batch, in some setting."""

    def terms(**settings):
        batch.generator.manual_seed(0)
        method = MEADefenderSSL(**settings)
        return method.objective(digits.owner, ExtraSamples(digits.owner, key, 8))(encoder, batch)

    return terms


@pytest.mark.parametrize("term", ["utility", "combination", "verification", "evasion"])
def test_each_term_of_the_paper_can_be_left_out(paper_terms, term):
    terms = paper_terms(**{term: False})
    assert set(terms.losses) == {"utility", "combination", "verification", "evasion"} - {term}
    assert terms.features.shape == (2 * 32 + 6 * 8, 8)


def test_the_papers_terms_are_those_of_its_equations(paper_terms):
    terms = paper_terms(distance="mse")
    watermarks, first, second, mixes, targets, resembled = terms.features[64:].split(8)
    logs = [torch.log(part.softmax(1)) for part in (watermarks, first, second)]
    divergences = [(logs[0].exp() * (logs[0] - source)).sum(1) for source in logs[1:]]
    torch.testing.assert_close(terms.losses["combination"], sum(divergences).mean())
    torch.testing.assert_close(terms.losses["verification"], (watermarks - targets).square().mean())
    torch.testing.assert_close(terms.losses["evasion"], (mixes - resembled).square().mean())


def test_what_the_terms_compare_are_images_of_the_right_classes(digits, encoder, paper_terms, monkeypatch):
    """The network is replaced by one that tells the class of every clean image."""
    mirrored = torch.cat([digits.owner.images, digits.owner.images.flip(3)])
    labels = digits.owner.labels.repeat(2)
    known = {image.numpy().tobytes(): int(label) for image, label in zip(mirrored, labels, strict=True)}
    seen = []

    def classes(images):
        whole = (images * 255).round().to(torch.uint8)
        seen.extend(known.get(image.numpy().tobytes(), -1) for image in whole)
        return torch.zeros(len(images), 8)

    monkeypatch.setattr(encoder, "features", classes)
    paper_terms()
    watermarks, first, second, mixes, targets, resembled = torch.tensor(seen[64:]).split(8)
    assert (watermarks == -1).all()
    assert (first == 3).all()
    assert (second == 7).all()
    assert (mixes == -1).all()
    assert (targets == 1).all()
    assert (resembled[:4].eq(3) | resembled[:4].eq(7)).all()


def test_the_combination_loss_can_leave_the_sources_alone(paper_terms):
    moved = {}
    for detach in (False, True):
        terms = paper_terms(detach_sources=detach)
        (gradient,) = torch.autograd.grad(terms.losses["combination"], terms.features)
        moved[detach] = gradient[64 + 8 : 64 + 24].abs().sum()
    assert moved[False] > 0
    assert moved[True] == 0


def test_embedding_into_a_trained_encoder_starts_from_its_weights(digits, key, quick):
    clean = mea.train_encoder(digits.owner, quick)
    still = quick.encoder.but(
        learning_rate=1e-9, schedule="constant", weight_decay=0.0, optimizer="sgd", momentum=0.0
    )
    victim = MEADefenderSSL().embed(digits.owner, key, quick.but(encoder=still), pretrained=clean)
    for name, value in clean.projection.named_parameters():
        torch.testing.assert_close(victim.projection.get_parameter(name), value, atol=1e-5, rtol=0)
    assert victim.card["recipe"]["initial"] == clean.card["weights_sha256"]
