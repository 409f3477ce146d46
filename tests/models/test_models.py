"""Networks: shapes, widths, specs, seeds."""

import json

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from mea_lib.models import NETWORKS, Input, build, build_from_spec
from mea_lib.models.autoencoder import Autoencoder


def make(network="nine_layer_cnn", channels=1, size=28, width=4, seed=0):
    mean, std = (0.3,) * channels, (0.2,) * channels
    return build(network, Input(channels, size, mean, std), classes=7, width=width, seed=seed)


def images(number=3, channels=1, size=28, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (number, channels, size, size), generator=generator, dtype=torch.uint8)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (3, 64), (1, 16)])
def test_every_network_takes_every_size(network, channels, size):
    model = make(network, channels, size, width=2).eval()
    batch = images(2, channels, size)
    logits = model(batch)
    assert logits.shape == (2, 7)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(model.logits(model.features(batch)), logits)


@given(network=st.sampled_from(NETWORKS), channels=st.sampled_from((1, 3)), size=st.integers(16, 64))
@settings(deadline=None, max_examples=30)
def test_sizes_in_between_work_too(network, channels, size):
    model = make(network, channels, size, width=1).eval()
    assert model(images(2, channels, size)).shape == (2, 7)


@pytest.mark.parametrize("network", NETWORKS)
def test_every_weight_takes_part(network):
    model = make(network, 3, 32).train()
    model(images(8, 3, 32)).square().mean().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize("as_float", [False, True])
@pytest.mark.parametrize("network", NETWORKS)
def test_under_autocast_normalisation_and_outputs_stay_in_full_precision(network, as_float):
    model = make(network, 3, 32).eval()
    seen = []
    model.body.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    batch = images(2, 3, 32)
    batch = batch.float() / 255 if as_float else batch
    expected = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        features = model.features(batch)
        logits = model.logits(features)
    assert features.dtype == logits.dtype == torch.float32
    assert torch.equal(seen[1], seen[0])
    assert not torch.equal(logits, expected), "nothing ran in bfloat16"
    torch.testing.assert_close(logits, expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("network", NETWORKS)
def test_width_scales_the_parameters(network):
    sizes = [sum(p.numel() for p in make(network, 3, 32, width).parameters()) for width in (2, 4)]
    assert 2.5 < sizes[1] / sizes[0] < 4.5


def test_the_nine_layer_network_has_nine_layers():
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    assert sum(isinstance(module, kinds) for module in make().modules()) == 9


@pytest.mark.parametrize(("network", "layers"), [("resnet18", 18), ("resnet50", 50)])
def test_resnets_have_the_layers_of_their_name(network, layers):
    model = make(network, 3, 32, 2)
    shortcuts = sum(
        "shortcut" in name and isinstance(m, torch.nn.Conv2d) for name, m in model.named_modules()
    )
    kinds = (torch.nn.Conv2d, torch.nn.Linear)
    assert sum(isinstance(module, kinds) for module in model.modules()) - shortcuts == layers


def convolutions(model):
    """(outputs, inputs) of every convolution, in order."""
    return [tuple(m.weight.shape[:2]) for m in model.modules() if isinstance(m, torch.nn.Conv2d)]


@pytest.mark.parametrize("network", ["resnet18", "resnet50"])
def test_resnets_at_full_width_are_torchvisions(network):
    ours = make(network, 3, 32, 64).body
    theirs = torchvision.models.get_model(network)
    stem_difference = 64 * 3 * (7 * 7 - 3 * 3)
    total = sum(p.numel() for p in theirs.parameters()) - sum(p.numel() for p in theirs.fc.parameters())
    assert sum(p.numel() for p in ours.parameters()) == total - stem_difference
    assert sorted(convolutions(ours)) == sorted(convolutions(theirs))


@pytest.mark.parametrize(("network", "peer"), [("alexnet", "alexnet"), ("vggface", "vgg16")])
def test_convolutions_at_full_width_are_torchvisions(network, peer):
    with torch.device("meta"):
        theirs = torchvision.models.get_model(peer)
    ours = make(network, 3, 32, 64)
    assert convolutions(ours) == convolutions(theirs)
    assert {m.kernel_size for m in ours.modules() if isinstance(m, torch.nn.Conv2d)} == {(3, 3)}


@pytest.mark.parametrize("network", NETWORKS)
def test_bytes_and_floats_agree(network):
    model = make(network).eval()
    batch = images()
    torch.testing.assert_close(model(batch), model(batch.float() / 255))


def test_normalisation_is_part_of_the_model():
    model = make().eval()
    seen = []
    model.body.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(images())
    torch.testing.assert_close(seen[0], (images().float() / 255 - 0.3) / 0.2)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_spec_rebuilds_the_network(network):
    model = make(network, 3, 32, seed=4).eval()
    again = build_from_spec(json.loads(json.dumps(model.spec)))
    assert again.spec == model.spec
    again.load_state_dict(model.state_dict())
    batch = images(channels=3, size=32)
    assert torch.equal(again.eval()(batch), model(batch))


@pytest.mark.parametrize("network", NETWORKS)
def test_the_seed_decides_the_weights_and_leaves_the_global_state_alone(network):
    before = torch.get_rng_state()
    first, second, other = (make(network, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    torch.rand(3)
    third = make(network, seed=1)
    for again in (second, third):
        assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first.head.weight, other.head.weight)


def test_bad_requests_are_named():
    with pytest.raises(ValueError, match="resnet18"):
        make("resnet19")
    with pytest.raises(ValueError, match="16 pixels"):
        make(size=8)
    with pytest.raises(ValueError, match=r"\(N, 1, H, W\)"):
        make()(images(channels=3))


@pytest.mark.parametrize(("channels", "size"), [(1, 28), (3, 32), (1, 16)])
def test_autoencoder_gives_back_an_image(channels, size):
    model = Autoencoder(channels, size, 2).eval()
    batch = torch.rand(2, channels, size, size)
    restored = model(batch)
    assert restored.shape == batch.shape
    assert 0 <= restored.min() <= restored.max() <= 1
    assert model.encode(batch).shape == (2, 4, size // 4, size // 4)
    again = build_from_spec(json.loads(json.dumps(model.spec)))
    again.load_state_dict(model.state_dict())
    assert torch.equal(again.eval()(batch), restored)
    with pytest.raises(ValueError, match="multiple of 4"):
        Autoencoder(1, 30, 2)
