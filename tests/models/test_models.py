"""Networks: shapes, widths, specs, seeds."""

import pytest
import torch

from mea_lib.models import NETWORKS, build, build_from_spec
from mea_lib.models.autoencoder import Autoencoder


def make(network="nine_layer_cnn", channels=1, size=28, width=4, seed=0):
    mean, std = (0.3,) * channels, (0.2,) * channels
    return build(network, classes=7, channels=channels, size=size, width=width, mean=mean, std=std, seed=seed)


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


def test_resnet18_at_full_width_is_torchvisions():
    from torchvision.models import resnet18

    ours = sum(p.numel() for p in make("resnet18", 3, 32, 64).body.parameters())
    theirs = resnet18()
    stem_difference = 64 * 3 * (7 * 7 - 3 * 3)
    total = sum(p.numel() for p in theirs.parameters()) - sum(p.numel() for p in theirs.fc.parameters())
    assert ours == total - stem_difference


def test_bytes_and_floats_agree():
    model = make().eval()
    batch = images()
    torch.testing.assert_close(model(batch), model(batch.float() / 255))


def test_normalisation_is_part_of_the_model():
    model = make().eval()
    seen = []
    model.body.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(images())
    torch.testing.assert_close(seen[0], (images().float() / 255 - 0.3) / 0.2)
    assert seen[0].is_contiguous(memory_format=torch.channels_last)


def test_a_spec_rebuilds_the_network():
    model = make("vgg_like", 3, 32).eval()
    again = build_from_spec(model.spec)
    again.load_state_dict(model.state_dict())
    batch = images(channels=3, size=32)
    assert torch.equal(again.eval()(batch), model(batch))


def test_the_seed_decides_the_weights_and_leaves_the_global_state_alone():
    before = torch.get_rng_state()
    first, second, other = make(seed=1), make(seed=1), make(seed=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
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
    with pytest.raises(ValueError, match="multiple of 4"):
        Autoencoder(1, 30, 2)
