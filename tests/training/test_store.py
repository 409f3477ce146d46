"""The store: found again, never half-written, never by older code."""

import json
import subprocess
import sys
import textwrap
import time

import pytest
import torch

from mea_lib.models import build
from mea_lib.training import Store
from mea_lib.training import store as store_module

RECIPE = {"method": "test", "seed": 1}
SPEC = {"classes": 3, "channels": 1, "size": 16, "width": 1, "mean": (0.0,), "std": (1.0,)}


def make():
    return build("nine_layer_cnn", seed=4, **SPEC)


def never():
    pytest.fail("the model was made a second time")


def test_a_finished_model_is_found_again(store):
    first = store.fetch(RECIPE, make)
    second = store.fetch(dict(reversed(RECIPE.items())), never)
    assert torch.equal(first.head.weight, second.head.weight)
    assert not second.training
    assert second.card["recipe"] == RECIPE
    assert second.card["versions"]["torch"] == torch.__version__
    assert [card["id"] for card in store.cards()] == [second.card["id"]]


def test_another_recipe_is_another_model(store):
    store.fetch(RECIPE, make)
    store.fetch(RECIPE | {"seed": 2}, make)
    assert len(store.cards()) == 2


@pytest.mark.parametrize("ending", ["safetensors", "json"])
@pytest.mark.parametrize(
    "damage", [lambda content: content[:-9], lambda content: b"", lambda content: b"x" + content[1:]]
)
def test_a_damaged_file_is_set_aside_and_made_again(store, ending, damage):
    card = store.fetch(RECIPE, make).card
    path = store.root / f"{card['id']}.{ending}"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.warns(UserWarning, match="damaged .* made again"):
        again = store.fetch(RECIPE, make)
    assert torch.equal(again.head.weight, make().head.weight)
    assert list(store.root.glob("*.damaged"))


def test_a_failed_training_leaves_nothing(store):
    def fail():
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        store.fetch(RECIPE, fail)
    assert [path for path in store.root.iterdir() if path.suffix != ".lock"] == []


def test_weights_without_a_card_are_not_a_model(store):
    card = store.fetch(RECIPE, make).card
    (store.root / f"{card['id']}.json").unlink()
    calls = []
    store.fetch(RECIPE, lambda: calls.append(1) or make())
    assert calls == [1]


CHILD = """
import sys, time
from mea_lib.models import build
from mea_lib.training import Store

def make():
    print("making", flush=True)
    time.sleep(float(sys.argv[2]))
    return build("nine_layer_cnn", seed=4, classes=3, channels=1, size=16, width=1, mean=(0.0,), std=(1.0,))

model = Store(sys.argv[1]).fetch({"method": "test", "seed": 1}, make)
print("got", model.card["weights_sha256"], flush=True)
"""


def child(store, seconds):
    command = [sys.executable, "-c", textwrap.dedent(CHILD), str(store.root), str(seconds)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_two_processes_make_a_model_once(store):
    processes = [child(store, 2), child(store, 2)]
    outputs = [process.communicate(timeout=120)[0] for process in processes]
    assert sum("making" in output for output in outputs) == 1
    assert len({output.split("got ")[1] for output in outputs}) == 1


def test_a_killed_process_blocks_nobody(store):
    process = child(store, 60)
    assert process.stdout.readline().strip() == "making"
    process.kill()
    process.wait()
    started = time.monotonic()
    store.fetch(RECIPE, make)
    assert time.monotonic() - started < 30
    assert not list(store.root.glob("*.partial"))


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    """A copy of the package's source that a test may edit."""
    import shutil

    package = tmp_path / "code" / "mea_lib"
    shutil.copytree(store_module.PACKAGE, package)
    monkeypatch.setattr(store_module, "PACKAGE", package)
    store_module.code_digest.cache_clear()
    yield package
    store_module.code_digest.cache_clear()


@pytest.mark.parametrize(
    ("file", "module", "changes"),
    [
        ("losses/rival.py", "", True),
        ("data/combine.py", "", True),
        ("watermarks/patch.py", "mea_lib.watermarks.patch", True),
        ("watermarks/samples.py", "mea_lib.watermarks.patch", True),
        ("watermarks/patch.py", "mea_lib.watermarks.composite", False),
        ("teaching/claims.py", "", False),
    ],
)
def test_an_edit_to_code_that_shapes_a_model_changes_its_name(own_code, file, module, changes):
    before = Store("x").identity({"module": module})
    path = own_code / file
    path.write_text(path.read_text() + "\nEXTRA = 1\n")
    store_module.code_digest.cache_clear()
    assert (Store("x").identity({"module": module}) != before) == changes


def test_comments_and_docstrings_change_nothing(own_code):
    before = Store("x").identity({})
    path = own_code / "losses" / "rival.py"
    path.write_text("# a comment\n" + path.read_text().replace("Ours:", "This book's:"))
    store_module.code_digest.cache_clear()
    assert Store("x").identity({}) == before


def test_a_module_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"mea_lib\.nothing"):
        Store("x").identity({"module": "mea_lib.nothing"})


def test_the_card_is_json(store):
    card = store.fetch(RECIPE, make).card
    assert json.loads((store.root / f"{card['id']}.json").read_text()) == card
