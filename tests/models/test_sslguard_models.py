"""The key tuple's queries and cosines, and the encoder that moves away from a clean one with a shadow behind it."""

import pytest
import torch
from torch import nn

from mea_lib.models import NETWORKS, Input, build_from_spec
from mea_lib.models.encoder import build_encoder
from mea_lib.models.sslguard import KeyTuple, ShadowedEncoder

SHAPE = {"inputs": Input(1, 16, [0.5], [0.2]), "width": 2}


def drawn(seed, *shape):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def make_key_tuple(features=8):
    images = drawn(0, 5, 1, 16, 16).mul(256).to(torch.uint8)
    mask, trigger = drawn(1, 1, 16, 16) > 0.65, 3 * drawn(2, 1, 16, 16) - 1
    return KeyTuple(images, mask, trigger, drawn(3, 6) - 0.5, features=features, seed=4)


@pytest.fixture
def key_tuple():
    return make_key_tuple()


def shadowed(network="nine_layer_cnn", rate=0.5, width=2):
    clean, shadow = (build_encoder(network, seed=seed, **SHAPE | {"width": width}) for seed in (1, 2))
    return ShadowedEncoder(clean, shadow, make_key_tuple(clean.size), rate)


@pytest.fixture
def model():
    return shadowed()


@pytest.fixture
def images(key_tuple):
    return key_tuple.images.float() / 255


def test_queries_are_the_trigger_inside_the_mask_and_the_image_outside(key_tuple):
    queries = key_tuple.queries()
    for query, image in zip(queries, key_tuple.images, strict=True):
        for row in range(16):
            for column in range(16):
                expected = int(image[0, row, column])
                if key_tuple.mask[0, row, column]:
                    expected = round(255 * min(1, max(0, key_tuple.trigger[0, row, column].item())))
                assert query[0, row, column] == expected
    assert torch.equal(key_tuple.queries(key_tuple.images[:2]), queries[:2])


def test_the_gradient_reaches_the_trigger_where_it_is_seen_and_can_change_something(key_tuple):
    key_tuple.triggered(key_tuple.images).sum().backward()
    visible = key_tuple.mask & (key_tuple.trigger > 0) & (key_tuple.trigger < 1)
    assert torch.equal(key_tuple.trigger.grad, visible * 5.0)


def test_cosines_are_of_what_the_decoder_makes(key_tuple):
    features = drawn(5, 3, 8)
    decoded, secret = key_tuple.decode(features), key_tuple.secret
    expected = [(row @ secret / (row.norm() * secret.norm())).item() for row in decoded]
    assert key_tuple.cosines(features).tolist() == pytest.approx(expected, abs=1e-6)


def test_nothing_has_moved_at_first(model, images):
    model.train()
    expected = model.clean(images)
    torch.testing.assert_close(model(images), expected)
    torch.testing.assert_close(model.watermarked().eval()(images), expected)


@pytest.mark.parametrize("network", NETWORKS)
def test_the_watermarked_encoder_is_the_clean_one_plus_the_moves(network, images):
    model = shadowed(network, rate=0.25)
    generator = torch.Generator().manual_seed(0)
    for move in model.moves:
        move.data = 0.1 * torch.randn(len(move), generator=generator)
    by_itself = model.watermarked().eval()
    torch.testing.assert_close(model(images), by_itself(images))
    clean, moved = dict(model.clean.named_parameters()), dict(by_itself.named_parameters())
    for name, move in zip(model.moving, model.moves, strict=True):
        torch.testing.assert_close(moved[name], clean[name] + 0.25 * move.view_as(clean[name]))
    still = set(moved) - set(model.moving)
    assert all(torch.equal(moved[name], clean[name]) for name in still)
    normalised = [
        f"{place}.{name}"
        for place, layer in by_itself.named_modules()
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d)
        for name, _ in layer.named_parameters(recurse=False)
    ]
    assert still == {*normalised, *(name for name in moved if name.startswith("projection."))}
    assert all(parameter.requires_grad for parameter in by_itself.parameters())


def test_the_encoders_statistics_stay_while_the_shadow_learns_its_own(model, images):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.train()
    model(images)
    model.shadow_without_gradient(images)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert model.shadow.training
    model.shadow(images)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert all(name.startswith("shadow.") for name in changed)


def test_the_shadow_passes_a_gradient_to_images_alone(model, images):
    images.requires_grad_()
    features = model.train().shadow_without_gradient(images)
    torch.testing.assert_close(features, model.shadow.eval()(images))
    features.sum().backward()
    assert images.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in model.parameters())


def test_its_spec_makes_it_again(model, images):
    model.moves[0].data += 0.1
    again = build_from_spec(model.spec, 7)
    again.load_state_dict(model.state_dict())
    torch.testing.assert_close(again(images), model(images))
    torch.testing.assert_close(again.key_tuple.queries(), model.key_tuple.queries())
    features = drawn(5, 3, model.clean.size)
    assert torch.equal(again.key_tuple.cosines(features), model.key_tuple.cosines(features))
