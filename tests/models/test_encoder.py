"""Encoders: features of the size asked for, a head that only training uses, found again in the store."""

import json

import pytest
import torch

from mea_lib.models import NETWORKS, Input, build, build_from_spec
from mea_lib.models.encoder import build_encoder

PER_WIDTH = {"nine_layer_cnn": 4, "vgg_like": 8, "resnet18": 8, "alexnet": 16, "resnet50": 32, "vggface": 64}


def make(network="nine_layer_cnn", channels=1, size=28, width=2, seed=0, **other):
    mean, std = (0.3,) * channels, (0.2,) * channels
    return build_encoder(network, Input(channels, size, mean, std), width=width, seed=seed, **other)


def images(number=3, channels=1, size=28, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (number, channels, size, size), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("features", [None, 5])
def test_features_have_the_networks_size_or_the_one_asked_for(network, features):
    encoder = make(network, 3, 32, features=features).eval()
    batch = images(2, 3, 32)
    expected = features or 2 * PER_WIDTH[network]
    found = encoder(batch)
    assert found.shape == (2, encoder.size) == (2, expected)
    assert found.dtype == torch.float32
    assert torch.equal(encoder.features(batch), found)
    assert encoder.project(found).shape == (2, 64)


@pytest.mark.parametrize("network", NETWORKS)
def test_without_a_size_features_are_those_of_the_classifier_with_this_seed(network):
    classifier = build(network, Input(1, 28, (0.3,), (0.2,)), classes=2, width=2, seed=3).eval()
    assert torch.equal(make(network, seed=3).eval()(images()), classifier.features(images()))


@pytest.mark.parametrize("features", [None, 6])
def test_every_weight_takes_part_in_training_and_the_head_in_nothing_else(features):
    encoder = make(features=features).train()
    encoder.project(encoder(images(8))).square().mean().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    encoder.eval()
    before = encoder(images())
    for parameter in encoder.projection.parameters():
        torch.nn.init.normal_(parameter)
    assert torch.equal(encoder(images()), before)


def test_the_head_has_two_layers_of_the_sizes_asked_for():
    linear = [m for m in make(projection=(7, 3)).projection if isinstance(m, torch.nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in linear] == [(7, 8), (3, 7)]


def test_under_autocast_features_and_projections_are_full_precision():
    encoder = make(features=6).eval()
    with torch.autocast("cpu", torch.bfloat16):
        found = encoder(images())
        assert found.dtype == encoder.project(found).dtype == torch.float32


@pytest.mark.parametrize("features", [None, 6])
def test_it_is_found_again_in_the_store(store, features):
    encoder = make("resnet18", 3, 32, seed=4, features=features, projection=(7, 3))
    recipe = {"method": "test", "features": features}
    found = store.fetch(recipe, lambda: encoder)
    batch = images(2, 3, 32)
    again = store.fetch(recipe, lambda: pytest.fail("made a second time"))
    for model in (found, again):
        assert model.spec == json.loads(json.dumps(encoder.spec))
        assert torch.equal(model(batch), encoder.eval()(batch))
        assert torch.equal(model.project(model(batch)), encoder.project(encoder(batch)))
        assert model.card["recipe"] == recipe


def test_the_seed_decides_the_weights_and_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    first, second, other = (make(seed=seed, features=6) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name])
    for layer in ("network.head.weight", "projection.0.weight"):
        assert not torch.equal(first.state_dict()[layer], other.state_dict()[layer])


@pytest.mark.parametrize("kind", ["nothing_there", "alexnet", "alexnet.body", "..data.key", 7, "", None])
def test_a_spec_of_an_unknown_kind_is_refused(kind):
    with pytest.raises(ValueError, match=r"a file of mea_lib\.models with from_spec"):
        build_from_spec(make().spec | {"kind": kind})


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match="resnet18"):
        make("resnet19")
    with pytest.raises(ValueError, match="at least 2 features"):
        make(features=1)
    with pytest.raises(ValueError, match="hidden and an output size"):
        make(projection=(3,))
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\)"):
        make()(images(channels=3))
