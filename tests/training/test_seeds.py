"""The same seed gives the same weights, for every network and whatever was drawn or trained before."""

from pathlib import Path

import pytest
import torch

import mea_lib as mea
from mea_lib.extraction import DataFree, Knockoff
from mea_lib.models import NETWORKS, Autoencoder, Input, build
from mea_lib.seeded import seeded
from mea_lib.training import TrainingSettings, fit_linear_head
from mea_lib.training.autoencoder import train_autoencoder
from mea_lib.training.store import weights_digest

SHORT = TrainingSettings(1, 64, optimizer="muon", schedule="linear", augment=False)
TINY = mea.preset("smoke").but(width=2, network="vgg_like", owner=SHORT, adversary=SHORT)
WITH_DROPOUT = ("vgg_like", "alexnet", "vggface")


@pytest.fixture(scope="module")
def few(digits):
    return digits.owner.subset(160)


@pytest.fixture(scope="module")
def victim(few):
    return build("nine_layer_cnn", Input.of(few), classes=10, width=1)


def clean(network):
    return lambda few, victim, seed: mea.train_clean(few, TINY.but(network=network), seed=seed)


def extracted(method):
    return lambda few, victim, seed: method.extract(mea.Oracle(victim), few, TINY, seed=seed)


WITHOUT_DATA = DataFree(queries=500, batch=20, directions=1, surrogate_steps=1, generator_width=2)
TRAININGS = {f"clean {network}": clean(network) for network in NETWORKS} | {
    "autoencoder": lambda few, victim, seed: train_autoencoder(few, TINY, seed=seed),
    "knockoff": extracted(Knockoff(strategy="adaptive", batch=40)),
    "data-free": extracted(WITHOUT_DATA),
}


@pytest.mark.parametrize("name", TRAININGS)
def test_equal_seeds_give_equal_weights_and_other_seeds_others(name, few, victim, tmp_path):
    def weights(place, seed):
        with mea.use_store(tmp_path / place):
            return weights_digest(TRAININGS[name](few, victim, seed))

    torch.manual_seed(1)
    first = weights("first", seed=3)
    torch.rand(17)
    clean("vgg_like")(few, victim, 5)
    torch.manual_seed(2)
    assert weights("second", seed=3) == first
    assert weights("third", seed=4) != first


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_leaves_the_global_random_state_as_it_was(name, few, victim):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    TRAININGS[name](few, victim, 3)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("network", WITH_DROPOUT)
def test_dropout_draws_by_the_seed_too(network, few):
    """From equal weights and the same order of images, only what dropout draws can differ."""
    drawn = []
    for seed in (0, 0, 1):
        model = build(network, Input(1, 16, (0.5,), (0.5,)), classes=10, width=2).train()
        with seeded(seed):
            drawn.append(model(few.images[:32]))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_an_autoencoder_and_a_probe_draw_nothing_of_the_global_state():
    before = torch.get_rng_state()
    equal, other = (Autoencoder(1, 16, 2, seed) for seed in (3, 4))
    assert torch.equal(equal.decoder[-2].weight, Autoencoder(1, 16, 2, 3).decoder[-2].weight)
    assert not torch.equal(equal.decoder[-2].weight, other.decoder[-2].weight)
    fit_linear_head(torch.eye(4), torch.tensor([0, 1, 0, 1]), ("a", "b"))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_is_for_the_cpu_and_one_device(monkeypatch):
    """`torch.manual_seed` seeds every device there is, and a fork puts back those that it names."""
    seen = []
    monkeypatch.setattr(torch, "manual_seed", lambda seed: seen.append(seed))
    before = torch.get_rng_state()
    with seeded(3):
        first = torch.rand(4)
    assert torch.equal(first, torch.rand(4, generator=torch.Generator().manual_seed(3)))
    assert torch.equal(torch.get_rng_state(), before)
    for network in NETWORKS:
        build(network, Input(1, 16, (0.5,), (0.5,)), classes=10, width=2)
    Autoencoder(1, 16, 2, 3)
    assert not seen


def test_nothing_in_the_package_seeds_all_devices_and_forks_none():
    files = [path for path in Path(mea.__file__).parent.rglob("*.py") if "fork_rng(" in path.read_text()]
    assert {path.name for path in files} == {"seeded.py", "entry.py", "removal_trial.py"}
    assert all("devices=[]" not in path.read_text() for path in files)
