"""Answers in less time: the same up to rounding, by weights as they are now, from a model that stays as it was."""

import copy

import pytest
import torch
from torch import nn

import mea_lib as mea
from mea_lib.models import NETWORKS, Input, build
from mea_lib.models.encoder import build_encoder
from mea_lib.models.folded import folded
from mea_lib.training import answering as module
from mea_lib.training.answering import answering

SHAPE = {"inputs": Input(1, 16, (0.3,), (0.4,)), "width": 2}


@pytest.fixture(scope="module")
def images(digits):
    return digits.queries[:600]


def with_moments(model, images):
    """The model with running moments and scales that are not those of a new one."""
    with torch.no_grad():
        model.train()(images[:200])
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.weight.uniform_(0.5, 2, generator=torch.Generator().manual_seed(0))
                layer.bias.uniform_(-1, 1, generator=torch.Generator().manual_seed(1))
    return model.eval()


@pytest.fixture(params=NETWORKS)
def model(request, images):
    return with_moments(build(request.param, classes=10, **SHAPE), images)


@torch.no_grad()
def test_a_folded_model_gives_the_same_logits(model, images):
    expected = model(images)
    own = folded(model)
    torch.testing.assert_close(own(images), expected, rtol=0, atol=1e-5 * expected.abs().max().item())
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in own.modules())


def test_folding_leaves_the_model_as_it_was(model, images):
    model.train()
    before = copy.deepcopy(model.state_dict())
    own = folded(model)
    with torch.no_grad():
        own(images)
    assert model.training
    assert not own.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_an_oracle_answers_by_the_weights_as_they_are_now(tiny, images):
    oracle = mea.Oracle(tiny)
    before = oracle(images)
    tiny.head.weight.data.mul_(3)  # noticed by no counter of changes
    after = oracle(images)
    assert not torch.allclose(after, before)
    torch.testing.assert_close(after, tiny(images).softmax(1), atol=1e-2, rtol=0)


@pytest.mark.parametrize("features", [None, 6])
def test_an_encoders_answers_are_its_features(images, features):
    encoder = with_moments(build_encoder("nine_layer_cnn", features=features, **SHAPE), images)
    with torch.no_grad():
        expected = encoder(images)
    for found in (mea.FeatureOracle(encoder)(images), mea.training.features_of(encoder, images)):
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-2 * expected.abs().max().item())


@pytest.mark.parametrize("number", [20, 600])
def test_in_short_products_the_last_layer_is_still_whole(model, images, number, monkeypatch):
    monkeypatch.setattr(module, "training_dtype", lambda device: torch.bfloat16)
    seen = []
    head = type(model).logits
    monkeypatch.setattr(type(model), "logits", lambda own, f: seen.append(own.head(f).dtype) or head(own, f))
    with torch.no_grad():
        expected = head(model, model.features(images[:number]))
        found = answering(model, number)(images[:number])
    assert found.dtype == torch.float32
    assert set(seen) == {torch.float32}
    assert not torch.equal(found, expected)
    torch.testing.assert_close(found, expected, rtol=0, atol=3e-2 * expected.abs().max().item())


def test_what_this_package_did_not_build_answers_for_itself(tiny):
    class Wrapped(nn.Module):
        def forward(self, images):
            return tiny(images)

    for model in (Wrapped(), nn.Flatten(), lambda images: images):
        assert answering(model, 1_000) is model


def test_a_model_with_hooks_is_asked_itself(tiny, images):
    calls = []
    tiny.head.register_forward_hook(lambda *call: calls.append(call))
    mea.Oracle(tiny)(images)
    assert calls
