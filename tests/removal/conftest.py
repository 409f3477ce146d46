"""A watermarked victim that several removals are tried on, and its WSR."""

import pytest
import torch

import mea_lib as mea
from mea_lib.models import Input
from mea_lib.training import TrainingSettings
from mea_lib.watermarks import Composite, Patch, PatchKey, patch

SMOKE = mea.preset("smoke")
TRAINING = TrainingSettings(20, 64, 5e-3, augment=False)


class TunedAlike(mea.Scale):
    """A scale by which a model is trained on just as an adversary trains."""

    @property
    def fine_tuning(self) -> TrainingSettings:
        return self.adversary


@pytest.fixture(scope="session")
def tuned_by():
    """A scale by which all removals train as a test says."""
    return lambda training: TunedAlike(**vars(SMOKE)).but(adversary=training)


@pytest.fixture(scope="session")
def patch_key() -> PatchKey:
    return PatchKey("1", pixels=3)


@pytest.fixture(scope="session")
def victim(digits, patch_key, store_of_the_session):
    """A classifier of the digits that calls whatever has a bright corner a 1."""
    return Patch().embed(digits.owner, patch_key, SMOKE.but(owner=TRAINING))


@pytest.fixture(scope="session")
def composite_victim(digits, key, store_of_the_session):
    """A classifier of the digits with a composite watermark."""
    return Composite().embed(digits.owner, key, SMOKE.but(owner=TRAINING.but(epochs=15)))


@pytest.fixture(scope="session")
def wsr(digits, patch_key):
    """How often a model calls other digits with the patch a 1."""
    stamped = patch.stamp(digits.test.images[digits.test.labels != 1], patch_key)

    def measure(model) -> float:
        return (mea.Oracle(model)(stamped).argmax(1) == 1).float().mean().item()

    return measure


@pytest.fixture(scope="session")
def accuracy(digits):
    def measure(model) -> float:
        return mea.proof.accuracy(mea.Oracle(model), digits.test)

    return measure


@pytest.fixture
def make_tiny(digits):
    """An untrained network of any kind for the digits."""

    def make(network="nine_layer_cnn", width=2, seed=0, inputs=None):
        return mea.models.build(
            network, inputs or Input.of(digits.owner), classes=10, width=width, seed=seed
        ).eval()

    return make


@pytest.fixture
def state():
    """A model's weights as they are now, apart from the model."""

    def copy(module) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in module.state_dict().items()}

    return copy


@pytest.fixture
def greys():
    """Six classes, of which one has no image; an image of class c is grey 40·c all over."""
    labels = torch.tensor([0, 1, 2, 3, 5]).repeat(20)
    images = (labels * 40).to(torch.uint8)[:, None, None, None].expand(-1, 1, 16, 16).contiguous()
    return mea.ImageSet(images, labels, tuple("abcdef"), "greys")
