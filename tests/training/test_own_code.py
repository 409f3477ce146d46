"""Methods from outside the package: found again by the same code, wherever it lies, and not by changed code."""

import importlib.util
import os
import subprocess
import sys
from dataclasses import dataclass

import pytest

import mea_lib as mea
from mea_lib.removal import Redistil
from mea_lib.training import MGDABalance, own_code
from mea_lib.watermarks import Patch, RunnerUp

CELLS = '''
import functools
from dataclasses import dataclass
from typing import ClassVar

import torch
import mea_lib as mea
from mea_lib.losses import utility_loss
from mea_lib.training import Terms
from mea_lib.watermarks import Watermark

WEIGHT = 0.5
DEVICES = {"names": ["cpu", "cuda"]}

@functools.cache
def doubled(number):
    return 2 * number

def penalty(logits, power=2):
    """How large the logits are."""
    return WEIGHT * logits.abs().pow(power).mean() * doubled(1)

class Halved:
    def apply(self, loss):
        return loss / 2

def unused():
    return 1

@dataclass(frozen=True)
class Own(Watermark):
    """Small logits."""

    number: int = 3
    classes: ClassVar[int] = 10

    @staticmethod
    def scaled(loss):
        return 3 * loss

    @property
    def half(self):
        return Halved()

    def others(self, logits):
        return mea.losses.evasion_loss(logits, logits.softmax(1))

    @torch.no_grad()
    def rate(self):
        return 0.25

    def objective(self, train_set, extras):
        one_hot = torch.eye(self.classes)

        def objective(model, batch):
            assert batch.images.device.type in {"cpu", "cuda", "mps", "xpu", "vulkan", "meta"}
            logits = model(batch.images)
            utility = utility_loss(logits, one_hot[train_set.labels[batch.index]])
            small = self.rate() * self.half.apply(self.scaled(penalty(logits)))
            return Terms({"utility": utility, "small": small, "none": 0 * self.others(logits)})

        return objective
'''
SMOKE = mea.preset("smoke")


def recipe_of(cells, name="__main__"):
    """What a method that was defined in cells, in a module without a file, is found by."""
    namespace = {"__name__": name} if name else {}
    exec(compile(cells, "<cell>", "exec"), namespace)
    return namespace["Own"]().recipe(SMOKE)


def edited(old, new):
    assert CELLS.count(old) == 1
    return CELLS.replace(old, new)


@pytest.mark.parametrize("name", ["__main__", "a_module_that_nobody_imported", None])
def test_the_same_code_is_found_again_and_changed_code_is_not(name):
    """In a module without a file, under a name that has another one, and under none at all."""
    first, again = recipe_of(CELLS, name), recipe_of(CELLS, name)
    assert first == again
    assert first["module"] == "mea_lib.watermarks.base"
    assert recipe_of(edited("return 3 * loss", "return 4 * loss"), name)["own_code"] != first["own_code"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("0 * self.others", "1 * self.others"),  # in the function that the method returns
        ('"vulkan"', '"hpu"'),
        ("return 0.25", "return 0.75"),  # under a decorator
        ("return Halved()", "return None"),
        ("classes: ClassVar[int] = 10", "classes: ClassVar[int] = 11"),
        ("WEIGHT = 0.5", "WEIGHT = 0.6"),  # what it names in other cells
        (".mean()", ".sum()"),
        ("power=2", "power=1"),
        ("return 2 * number", "return 3 * number"),
        ("return loss / 2", "return loss / 4"),
        ("import utility_loss", "import evasion_loss as utility_loss"),
        ("mea.losses.evasion_loss", "mea.losses.utility_loss"),
    ],
)
def test_an_edit_to_what_takes_part_is_another_method(old, new):
    assert recipe_of(edited(old, new))["own_code"] != recipe_of(CELLS)["own_code"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("import functools", "import functools  # a comment"),
        ("import functools", "\n\n\nimport functools"),
        ("def unused():\n    return 1", "def unused():\n    return 2"),
        ('"cuda"]}', '"tpu"]}'),
        ('"cpu", "cuda", "mps", "xpu"', '"xpu", "mps", "cuda", "cpu"'),  # a set has no order
    ],
)
def test_an_edit_to_what_takes_no_part_changes_nothing(old, new):
    assert recipe_of(edited(old, new)) == recipe_of(CELLS)


def test_another_setting_is_not_other_code():
    other = recipe_of(edited("number: int = 3", "number: int = 4"))
    assert other["own_code"] == recipe_of(CELLS)["own_code"]
    assert other["settings"] != recipe_of(CELLS)["settings"]


@pytest.mark.parametrize("file", ["losses.utility", "losses.evasion"])
def test_an_edit_to_a_loss_of_the_package_is_seen_where_it_is_named(file, monkeypatch):
    """The base class, which gives the recipe its module, has nothing to do with these losses."""
    before, digest = recipe_of(CELLS)["own_code"], own_code.code_digest
    monkeypatch.setattr(
        own_code, "code_digest", lambda module: digest(module) + "edited" * module.endswith(file)
    )
    assert recipe_of(CELLS)["own_code"] != before


def from_file(path, text):
    """The method of a file that was imported as a module."""
    path.parent.mkdir(parents=True)
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    sys.modules[path.stem] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return module.Own().recipe(SMOKE)
    finally:
        del sys.modules[path.stem]


def test_where_a_file_lies_makes_no_difference(tmp_path):
    first = from_file(tmp_path / "here" / "mine.py", CELLS)
    assert from_file(tmp_path / "there" / "yours.py", CELLS + "\n\nMORE = 1\n") == first
    changed = edited("return loss / 2", "return loss / 4")
    assert from_file(tmp_path / "elsewhere" / "mine.py", changed)["own_code"] != first["own_code"]


def test_what_a_file_takes_from_another_one_takes_part(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    found = []
    for number in (1, 2, 1):
        (tmp_path / "my_helpers.py").write_text(f"def small():\n    return {number}\n")
        for use in ("import my_helpers", "from my_helpers import small"):
            sys.modules.pop("my_helpers", None)
            importlib.invalidate_caches()
            sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
            called = "my_helpers.small()" if use.startswith("import") else "small()"
            cells = edited("import functools", f"import functools\n{use}").replace("0.25", called)
            found.append(recipe_of(cells)["own_code"])
            sys.dont_write_bytecode = before
    del sys.modules["my_helpers"]
    assert found[:2] == found[4:]
    assert len(set(found)) == 4


@dataclass(frozen=True)
class Larger(Patch):
    """A patch that is worth more, defined in a file of tests."""

    times: float = 2.0

    def objective(self, train_set, extras):
        plain = super().objective(train_set, extras)

        def objective(model, batch):
            losses, features = plain(model, batch)
            return mea.training.Terms(
                losses | {"verification": self.times * losses["verification"]}, features
            )

        return objective


def test_a_method_of_a_test_file_is_trained_once(digits, quick, store):
    few, key, scale = digits.owner.subset(64), mea.watermarks.PatchKey("1"), quick.but(width=2)
    first, second, plain = (method.embed(few, key, scale) for method in (Larger(), Larger(), Patch()))
    assert first.card == second.card
    assert first.card["recipe"]["method"] == "Larger"
    assert first.card["recipe"]["module"] == "mea_lib.watermarks.patch"
    assert "own_code" not in plain.card["recipe"]
    assert len(store.cards()) == 2


@dataclass(frozen=True)
class OwnBalance(MGDABalance):
    """A loss weighting from outside."""


def test_code_in_a_setting_counts_as_the_methods_own():
    found = RunnerUp(balance=OwnBalance()).recipe(SMOKE)
    assert found["own_code"]
    assert found["module"] == "mea_lib.watermarks.runner_up"
    assert "own_code" not in RunnerUp(balance=MGDABalance()).recipe(SMOKE)
    assert "own_code" not in Redistil().recipe(SMOKE)


def test_code_that_names_what_cannot_be_told_from_its_like_is_refused():
    cells = edited("import functools", "import functools\nstate = object()").replace("0.25", "id(state)")
    with pytest.raises(TypeError, match=r"the code of a method names 'state', and .* not object"):
        recipe_of(cells)


PROCESS = """
with mea.use_store({store!r}):
    data = mea.load("digits", mea.preset("smoke")).owner.subset(64)
    scale = mea.preset("smoke").but(width=2)
    card = Own().embed(data, mea.WatermarkKey(("3", "7"), "1"), scale).card
print(card["id"])
"""


def test_another_process_finds_the_model_of_a_notebook(tmp_path):
    """By `python -c`, with sets in another order in each process."""

    def run(cells, hash_seed):
        code = cells + PROCESS.format(store=str(tmp_path))
        command, environment = [sys.executable, "-c", code], {"PYTHONHASHSEED": str(hash_seed)}
        found = subprocess.run(
            command, capture_output=True, text=True, check=True, env=os.environ | environment
        )
        return found.stdout.strip()

    first, again = run(CELLS, 1), run(CELLS, 2)
    other = run(edited("return loss / 2", "return loss / 4"), 1)
    assert first == again != other
    assert {path.stem for path in tmp_path.glob("*.json")} == {first, other}
