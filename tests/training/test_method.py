"""What a method's models are found by: every setting, the device and the precision, and what could not be told apart."""

import copy
import inspect
import json
from dataclasses import dataclass, fields, is_dataclass

import numpy as np
import pytest
import torch
from torch import nn

import mea_lib as mea
from mea_lib.extraction import MixedDistillation
from mea_lib.removal import FineTune, Redistil, redistil
from mea_lib.shaping_code import code_digest
from mea_lib.training import Method, Store, method
from mea_lib.training.plain import as_plain
from mea_lib.watermarks import RunnerUp

SMOKE = mea.preset("smoke")
GIVEN = {"Unlearn": {"mask": torch.ones(1, 16, 16), "pattern": torch.ones(1, 16, 16)}}


def subclasses(kind):
    for one in kind.__subclasses__():
        yield one
        yield from subclasses(one)


def every_method():
    """One of each method that the package has, with the settings it has by itself."""
    kinds = {kind for kind in subclasses(Method) if kind.__module__.startswith("mea_lib.")}
    concrete = sorted(
        (kind for kind in kinds if not inspect.isabstract(kind)), key=lambda kind: kind.__name__
    )
    return [kind(**GIVEN.get(kind.__name__, {})) for kind in concrete]


def settings_of(value, path=()):
    """Where each field of a dataclass is, and of the dataclasses in it."""
    for field in fields(value):
        inner = getattr(value, field.name)
        yield (*path, field.name)
        if is_dataclass(inner):
            yield from settings_of(inner, (*path, field.name))


def with_another(value, path):
    """The same dataclass with something else in one place."""
    changed, (name, *rest) = copy.copy(value), path
    inner = with_another(getattr(value, name), rest) if rest else "something else"
    object.__setattr__(changed, name, inner)
    return changed


def identity(method, scale=SMOKE, **inputs):
    return Store("unused").identity(method.recipe(scale, **inputs))


def test_the_methods_of_every_room_are_among_them():
    kinds = {type(method) for method in every_method()}
    for room in (mea.watermarks, mea.extraction, mea.removal):
        offered = [getattr(room, name) for name in room.__all__]
        assert kinds >= {
            kind for kind in offered if issubclass(kind, Method) and not inspect.isabstract(kind)
        }
    assert {"Clean", "SimCLR", "ReconstructImages", "Gate", "ShadowExtraction"} <= {
        one.__name__ for one in kinds
    }


@pytest.mark.parametrize("method", every_method(), ids=lambda method: type(method).__name__)
def test_another_value_of_any_setting_is_another_model(method):
    paths = list(settings_of(method))
    names = [identity(method), *(identity(with_another(method, path)) for path in paths)]
    same = {path for path, name in zip(paths, names[1:], strict=True) if names.count(name) > 1}
    assert not same
    assert identity(method) == names[0]


def test_methods_with_equal_settings_are_told_apart():
    names = [identity(one) for one in every_method()]
    assert len(set(names)) == len(names)


def test_device_precision_scale_and_inputs_decide_too(monkeypatch, key):
    found = {identity(RunnerUp()), identity(RunnerUp(), key=key), identity(RunnerUp(), mea.preset("laptop"))}
    monkeypatch.setattr(method, "training_dtype", lambda device: torch.bfloat16)
    found.add(identity(RunnerUp()))
    monkeypatch.setattr(method, "best_device", lambda: torch.device("cuda"))
    found.add(identity(RunnerUp()))
    assert len(found) == 5


def test_the_training_of_what_takes_part_decides_too(digits, quick):
    """A key whose images an autoencoder combines: more epochs of it are another victim."""
    few, key = digits.owner.subset(64), mea.WatermarkKey(("3", "7"), "1", "autoencoder")
    names = [RunnerUp().embed(few, key, quick.but(ablation_epochs=epochs)).card["id"] for epochs in (1, 2)]
    assert names[0] != names[1]


def test_a_second_extraction_is_of_the_code_of_its_distillation(tiny, digits, monkeypatch):
    recipes = []
    monkeypatch.setattr(redistil, "find_or_make", lambda recipe, make: recipes.append(recipe))
    Redistil(MixedDistillation()).remove(tiny, digits.queries, SMOKE)
    assert recipes[0]["distillation_code"] == code_digest("mea_lib.extraction.mixed_distillation")


@pytest.mark.parametrize("name", ["epochs", "learning_rate"])
def test_nothing_is_not_taken_for_a_number_that_was_not_given(name):
    assert FineTune().training(SMOKE) == SMOKE.fine_tuning
    with pytest.raises(ValueError, match="at least 1"):
        FineTune(epochs=0).training(SMOKE)
    assert FineTune(learning_rate=0.0).training(SMOKE).learning_rate == 0


@dataclass(frozen=True)
class One:
    value: object = 1


@dataclass(frozen=True)
class Other:
    value: object = 1


@pytest.mark.parametrize(
    "value",
    [object(), {1, 2}, nn.Linear(2, 2), len, One, b"bytes", np.float32(1), {1: "one"}, 1j],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("inside", [lambda value: value, One, lambda value: [{"x": value}]])
def test_what_cannot_be_told_from_its_like_is_refused(value, inside):
    with pytest.raises(TypeError, match="a model cannot be found again by it"):
        as_plain(inside(value))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (One(), Other()),
        (One(2), One(2.0)),
        (1, True),
        (None, "None"),
        (["a", "b"], ["b", "a"]),
        (0.3, 0.1 + 0.2),
        (torch.zeros(2, 3), torch.zeros(3, 2)),
        (torch.zeros(2, dtype=torch.float32), torch.zeros(2, dtype=torch.int32)),
        (torch.zeros(2), torch.tensor([0.0, 1e-30])),
        (torch.ones((), dtype=torch.bfloat16), torch.zeros((), dtype=torch.bfloat16)),
    ],
)
def test_what_differs_is_told_apart(one, other):
    assert json.dumps(as_plain(one)) != json.dumps(as_plain(other))


def test_equal_tensors_are_the_same_however_they_lie():
    values = torch.arange(6.0).view(2, 3)
    assert as_plain(values) == as_plain(values.T.contiguous().T) == as_plain(values.clone().requires_grad_())
