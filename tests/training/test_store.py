"""The store: found again, never half-written, never by older code."""

import contextvars
import json
import subprocess
import sys
import time

import pytest
import torch

from mea_lib import shaping_code
from mea_lib.model_files import sealed
from mea_lib.training import Store, current_store, find_or_make, use_store
from tests.training.stored import RECIPE, make, never


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


@pytest.mark.parametrize("content", [b"[]", b"null", b"7", b'"card"', b"{}"])
def test_a_card_that_is_json_but_no_card_is_set_aside(store, content):
    card = store.fetch(RECIPE, make).card
    (store.root / f"{card['id']}.json").write_bytes(content)
    assert store.cards() == []
    with pytest.warns(UserWarning, match="damaged .* made again"):
        assert store.fetch(RECIPE, make).card["recipe"] == RECIPE


def test_a_spec_that_builds_nothing_is_set_aside(store):
    card = store.fetch(RECIPE, make).card
    del card["card_sha256"]
    spoilt = card | {"spec": card["spec"] | {"width": "two"}}
    (store.root / f"{card['id']}.json").write_bytes(sealed(spoilt))
    with pytest.warns(UserWarning, match="damaged .* made again"):
        store.fetch(RECIPE, make)


def test_files_under_another_models_name_are_not_that_model(store):
    first, second = (store.fetch(RECIPE | {"seed": seed}, make).card["id"] for seed in (1, 2))
    for ending in ("json", "safetensors"):
        (store.root / f"{second}.{ending}").write_bytes((store.root / f"{first}.{ending}").read_bytes())
    with pytest.warns(UserWarning, match=f"damaged .*{first}.* made again"):
        assert store.fetch(RECIPE | {"seed": 2}, make).card["recipe"]["seed"] == 2


def test_cards_pass_over_a_damaged_one(store):
    first, second = (store.fetch(RECIPE | {"seed": seed}, make).card["id"] for seed in (1, 2))
    (store.root / f"{first}.json").write_bytes(b"{")
    assert [card["id"] for card in store.cards()] == [second]


def test_a_history_that_is_not_json_leaves_no_weights_behind(store):
    def make_odd():
        model = make()
        model.history = {"loss": torch.zeros(1)}
        return model

    with pytest.raises(TypeError, match="JSON"):
        store.fetch(RECIPE, make_odd)
    assert not list(store.root.glob("*.safetensors"))


CHILD = """
import sys, time
from mea_lib.models import Input, build
from mea_lib.training import Store, current_store, find_or_make, use_store

def make():
    print("making", flush=True)
    time.sleep(float(sys.argv[2]))
    return build("nine_layer_cnn", Input(1, 16, (0.0,), (1.0,)), seed=4, classes=3, width=1)

model = Store(sys.argv[1]).fetch({"method": "test", "seed": 1}, make)
print("got", model.card["weights_sha256"], flush=True)
"""


def child(store, seconds, before=""):
    command = [sys.executable, "-c", before + CHILD, str(store.root), str(seconds)]
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


SLOW_DISK = """
import os, time

def slow(file):
    print("writing", flush=True)
    time.sleep(60)

os.fsync = slow
"""


def test_a_process_killed_while_it_writes_leaves_no_model_and_no_litter(store):
    process = child(store, 0, before=SLOW_DISK)
    assert [process.stdout.readline().strip() for _ in range(2)] == ["making", "writing"]
    process.kill()
    process.wait()
    assert list(store.root.glob("*.partial"))
    assert store.cards() == []
    store.fetch(RECIPE, make)
    assert sorted(path.suffix for path in store.root.iterdir()) == [".json", ".lock", ".safetensors"]


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    """A copy of the package's source that a test may edit."""
    import shutil

    package = tmp_path / "code" / "mea_lib"
    shutil.copytree(shaping_code.PACKAGE, package)
    monkeypatch.setattr(shaping_code, "PACKAGE", package)
    read_again()
    yield package
    read_again()


def read_again():
    """What a new process does: take the code as it is now."""
    for kept in (shaping_code.sources, shaping_code.code_digest, shaping_code._tree):
        kept.cache_clear()


@pytest.mark.parametrize(
    ("file", "module", "changes"),
    [
        ("losses/rival.py", "", True),
        ("models/__init__.py", "", True),
        ("data/combine.py", "", True),
        ("watermarks/patch.py", "mea_lib.watermarks.patch", True),
        ("watermarks/samples.py", "mea_lib.watermarks.runner_up", True),
        ("watermarks/patch.py", "mea_lib.watermarks.composite", False),
        ("teaching/claims.py", "", False),
        ("losses/rival.py", "mea_lib.watermarks.runner_up", True),
        ("losses/rival.py", "mea_lib.watermarks.patch", False),
        ("losses/__init__.py", "mea_lib.watermarks.patch", False),
        ("models/alexnet.py", "mea_lib.training.fit", True),
        ("models/__init__.py", "mea_lib.training.fit", True),
        ("training/loop.py", "mea_lib.extraction.distillation", True),
        ("training/store.py", "mea_lib.extraction.distillation", False),
        ("blackbox/oracle.py", "mea_lib.extraction.distillation", False),
        ("extraction/query_generator.py", "mea_lib.extraction.data_free", True),
        ("extraction/query_generator.py", "mea_lib.extraction.distillation", False),
    ],
)
def test_an_edit_to_code_that_shapes_a_model_changes_its_name(own_code, file, module, changes):
    before = Store("x").identity({"module": module})
    path = own_code / file
    path.write_text(path.read_text() + "\nEXTRA = 1\n")
    read_again()
    assert (Store("x").identity({"module": module}) != before) == changes


EDITED = """
import sys
from pathlib import Path
from mea_lib.training import Store, current_store, find_or_make, use_store

path = Path(sys.argv[1])
path.write_text(path.read_text() + "EXTRA = 1\\n")
print(Store("x").identity({}))
"""


def test_a_process_names_its_models_after_the_code_it_runs(own_code):
    """A file edited after it was imported does not make the running code the new code."""
    before, folder = Store("x").identity({}), own_code.parent
    command = [sys.executable, "-c", EDITED, str(own_code / "losses" / "rival.py")]
    running = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
    read_again()
    assert running == before != Store("x").identity({})


def test_comments_and_docstrings_change_nothing(own_code):
    before = Store("x").identity({})
    path = own_code / "losses" / "rival.py"
    path.write_text("# a comment\n" + path.read_text().replace("Ours:", "This book's:"))
    read_again()
    assert Store("x").identity({}) == before


def test_a_module_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"mea_lib\.nothing"):
        Store("x").identity({"module": "mea_lib.nothing"})


def test_blocks_of_use_store_nest_and_give_back_the_one_around_them(store, tmp_path):
    assert current_store() is store
    with use_store(tmp_path / "outer") as outer:
        assert outer.root == tmp_path / "outer"
        with use_store(Store(tmp_path / "inner", outer.root)) as inner:
            assert current_store() is inner
            find_or_make(RECIPE, make)
        assert current_store() is outer
    assert current_store() is store
    assert (len(inner.cards()), len(outer.cards()), len(store.cards())) == (1, 0, 0)


def test_an_error_in_a_block_gives_back_the_store_around_it(store, tmp_path):
    with use_store(tmp_path / "outer") as outer:
        with pytest.raises(KeyboardInterrupt), use_store(tmp_path / "inner"):
            raise KeyboardInterrupt
        assert current_store() is outer
    assert current_store() is store


def test_outside_of_every_block_it_is_the_store_of_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("MEA_STORE", str(tmp_path / "named"))
    assert contextvars.Context().run(current_store).root == tmp_path / "named"


def test_the_card_is_json(store):
    card = store.fetch(RECIPE, make).card
    assert json.loads((store.root / f"{card['id']}.json").read_text()) == card


def test_the_files_that_shape_a_models_name_are_those_its_module_imports():
    found = shaping_code.shaping_files("mea_lib.watermarks.runner_up")
    assert {name for name in found if name.startswith("losses/")} == {
        f"losses/{loss}.py" for loss in ("evasion", "rival", "runner_up", "utility", "verification")
    }
    assert {"watermarks/runner_up.py", "watermarks/samples.py", "training/autoencoder.py"} <= found
    assert {"data/images.py", "data/mixes.py", "models/base.py", "models/resnet.py"} <= found
    assert not any(name.startswith(("blackbox/", "watermarks/patch")) for name in found)
