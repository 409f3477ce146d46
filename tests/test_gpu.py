"""What holds where models lie on a GPU, tried on machines without one: fake tensors know their device and have no numbers."""

from contextlib import suppress

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from mea_lib.arena import entry
from mea_lib.blackbox import named_class
from mea_lib.data import ImageSet
from mea_lib.extraction import bandit
from mea_lib.extraction.clean_answers import CleanAnswers
from mea_lib.models import Input, build
from mea_lib.proof.placement import placement
from mea_lib.teaching.additivity import _best_fit
from mea_lib.training import Clean, MGDABalance, Terms, TrainingSettings, best_device, loop, train
from mea_lib.training.balance import FeatureBalance


def test_a_fake_gpu_finds_two_devices_in_one_line():
    """The next test rests on this."""
    with FakeTensorMode(), pytest.raises(RuntimeError, match="device"):
        torch.ones(3, device="cuda") + torch.ones(3)


def test_the_accuracy_of_a_suspect_that_answers_from_the_gpu():
    images, labels = torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.zeros(4, dtype=torch.long)
    few = ImageSet(images, labels, ("a", "b"), "few")
    # It comes to the number, of which a fake has none.
    with FakeTensorMode(allow_non_fake_inputs=True), pytest.raises(DataDependentOutputException):
        named_class.accuracy(lambda queries: torch.ones(len(queries), 2, device="cuda"), few)


def test_a_function_as_an_entry_gets_its_images_where_the_models_lie(monkeypatch):
    monkeypatch.setattr(entry, "best_device", lambda: torch.device("meta"))
    seen = []

    def function(images):
        seen.append(images.device.type)
        return torch.zeros(len(images), 10)

    entry.suspect_of(function, classes=10)(torch.zeros(4, 1, 8, 8, dtype=torch.uint8))
    assert set(seen) == {"meta"}


def test_sgd_starts_from_no_momentum_where_the_first_step_overflows(digits, monkeypatch):
    """A fused one starts from what its memory happened to hold; here that is NaN."""
    monkeypatch.setattr(loop, "training_dtype", lambda device: torch.float16)
    few = digits.owner.subset(64)
    clean = Clean().objective(few)

    def steep(model, batch):
        return Terms({"steep": 1e3 * clean(model, batch).losses["utility"]})

    model = build("nine_layer_cnn", Input.of(few), classes=10, width=1)
    settings = TrainingSettings(
        8, 32, 1e-6, optimizer="sgd", schedule="constant", augment=False, weight_decay=0
    )
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", True)
    torch.use_deterministic_algorithms(True)
    try:
        train(model, few.images, steep, settings)
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


@pytest.mark.parametrize(
    "balance", [MGDABalance(), FeatureBalance()], ids=lambda balance: type(balance).__name__
)
def test_half_precision_finds_the_weights_of_single_precision_where_losses_are_scaled(balance):
    """A loss that is nearly solved has gradients that half precision would lose without it."""
    torch.manual_seed(0)
    layer, head = nn.Linear(4, 4), nn.Linear(4, 2)

    def weights(dtype, scale):
        layer.to(dtype), head.to(dtype)
        features = layer(torch.ones(3, 4, dtype=dtype))
        answers = head(features).float()
        losses = {"one": answers[:, 0].square().mean(), "other": 1e-8 * answers[:, 1].square().mean()}
        parameters = [*layer.parameters(), *head.parameters()]
        return balance.backward(Terms(losses, features), parameters, 0, scale)

    assert weights(torch.float32, 1.0) == pytest.approx(weights(torch.float16, 2.0**12), rel=0.02)


class NoFloat64(TorchDispatchMode):
    """A GPU without float64, as Apple's are."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for one in tree_leaves(made):
            if isinstance(one, torch.Tensor) and one.device.type == "cuda" and one.dtype == torch.float64:
                raise TypeError("this GPU has no float64")
        return made


def test_a_gpu_without_float64_is_one_here():
    """The next tests rest on this."""
    with FakeTensorMode(), NoFloat64():
        torch.ones(3, device="cuda").cpu().double()
        with pytest.raises(TypeError, match="no float64"):
            torch.ones(3, device="cuda").double()


def rewards(answers):
    bandit.AnswerRewards(("diversity",))(answers[0], answers[0])


@pytest.mark.parametrize(
    "use",
    [
        lambda answers: _best_fit(answers, answers, answers),
        lambda answers: placement(answers, 0, 1, 2),
        CleanAnswers(answer_temperature=4.0).clean,
        rewards,
    ],
    ids=["additivity", "placement", "clean answers", "bandit"],
)
def test_answers_of_a_gpu_without_float64_are_used_elsewhere(use):
    # Most come to a number, of which a fake has none.
    with FakeTensorMode(), NoFloat64(), suppress(DataDependentOutputException, DynamicOutputShapeException):
        use(torch.ones(4, 10, device="cuda"))


@pytest.mark.parametrize("name, device", [("cpu", "cpu"), ("meta", "meta")])
def test_the_device_can_be_chosen(monkeypatch, name, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("MEA_DEVICE", name)
    assert best_device() == torch.device(device)
    monkeypatch.setenv("MEA_DEVICE", "")
    assert best_device() == torch.device("cuda")


def test_a_device_that_is_none(monkeypatch):
    monkeypatch.setenv("MEA_DEVICE", "gpu")
    with pytest.raises(ValueError, match="set it to cpu, cuda or mps"):
        best_device()
