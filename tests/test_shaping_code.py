"""One notion of the code: which files take part in a chapter or a study, and which edits change their names."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mea_lib import shaping_code

# What a chapter does: rooms through the package, re-exported names, a file of its own.
CHAPTER = """
import mea_lib as mea
from mea_lib import proof
from mea_lib.extraction import Distillation
from mea_lib.teaching import Claims

data, scale = mea.load("digits", mea.preset("smoke")), mea.preset("smoke")
oracle = mea.Oracle(mea.train_clean(data.owner, scale))
surrogate = Distillation().extract(oracle, data.queries, scale)
print(proof.watermark_success_rate, mea.watermarks.RunnerUp)
"""
STUDY = """
import mea_lib as mea
from benchmarks.helpers import mean

def run_one(data):
    return mean(mea.detection.strip)
"""


@pytest.fixture
def own_code(tmp_path, monkeypatch):
    """A copy of the package's source that a test may edit."""
    package = tmp_path / "code" / "mea_lib"
    shutil.copytree(shaping_code.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(shaping_code, "PACKAGE", package)
    read_again()
    yield package
    read_again()


def read_again():
    """What a new process does: take the code as it is now."""
    for kept in vars(shaping_code).values():
        if hasattr(kept, "cache_clear"):
            kept.cache_clear()


def chapter_digests_before_and_after(edit):
    before = shaping_code.chapter_code_digest(CHAPTER)
    edit()
    read_again()
    return before, shaping_code.chapter_code_digest(CHAPTER)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("scale.py", True),
        ("training_settings.py", True),
        ("data/sources.py", True),
        ("training/loop.py", True),
        ("training/store.py", True),
        ("blackbox/oracle.py", True),
        ("extraction/distillation.py", True),
        ("extraction/base.py", True),
        ("proof/rates.py", True),
        ("teaching/claims.py", True),
        ("watermarks/runner_up.py", True),
        ("models/encoder.py", True),  # models are built by the name of their kind
        ("watermarks/patch.py", False),
        ("extraction/jacobian.py", False),
        ("detection/strip.py", False),
        ("arena/contest.py", False),
        ("cli/verify.py", False),
        ("shaping_code.py", False),
    ],
)
def test_an_edit_changes_a_chapters_digest_where_the_file_takes_part(own_code, file, changes):
    path = own_code / file
    before, after = chapter_digests_before_and_after(
        lambda: path.write_text(path.read_text() + "\nEXTRA = 1\n")
    )
    assert (before != after) == changes


def test_comments_and_docstrings_change_no_chapter(own_code):
    path = own_code / "training" / "loop.py"
    edited = "# a comment\n" + path.read_text().replace('"""The one training loop', '"""A training loop')
    before, after = chapter_digests_before_and_after(lambda: path.write_text(edited))
    assert before == after


@pytest.mark.parametrize(
    ("code", "file"),
    [
        ("import mea_lib as mea\nmea.WatermarkKey", "data/key.py"),
        ("import mea_lib\nmea_lib.defences.AnomalyFilter", "defences/anomaly_filter.py"),
        ("import mea_lib.detection.strip", "detection/strip.py"),
        ("from mea_lib import detection as seen\nseen.strip.STRIP", "detection/strip.py"),
        ("from mea_lib.serving import RemoteOracle", "serving/remote.py"),  # found late
        ("def later():\n    from mea_lib.removal import prune", "removal/prune.py"),
        ("import mea_lib as mea\nprint(f'{mea.removal.Prune!r}')", "removal/prune.py"),
        ("run('python', '-m', 'mea_lib.cli')", "cli/verify.py"),
        ("ENTRY = 'from mea_lib.removal import prune\\nprune'", "removal/prune.py"),
        ("import mea_lib as mea\nmea.losses", "losses/rival.py"),  # a whole room
        ("from mea_lib.extraction import Knockoff", "extraction/bandit.py"),  # what that imports
    ],
)
def test_a_name_leads_to_the_file_that_defines_it(code, file):
    found = shaping_code.chapter_files(code)
    assert file in found
    assert "arena/contest.py" not in found or "cli" in file


@pytest.mark.parametrize(
    "code",
    [
        "import mea_lib as mea\nrooms = vars(mea)",
        "from mea_lib import *",
        "import mea_lib as mea\nmea.nothing_of_the_kind",
        "%timeit 3",
    ],
)
def test_where_code_cannot_be_followed_the_whole_package_takes_part(code):
    assert shaping_code.chapter_files(code) >= set(shaping_code.sources()) - {"shaping_code.py"}


def test_code_that_uses_nothing_of_the_package_needs_none_of_it():
    assert shaping_code.chapter_files("import torch\ntorch.ones(3)\n'mea_lib is not installed'") == set()


def test_every_name_of_the_package_is_found():
    """What `mea_lib/__init__.py` offers leads somewhere, none of it to everything."""
    tree = ast.parse((shaping_code.PACKAGE / "__init__.py").read_text())
    offered = next(n.value for n in tree.body if isinstance(n, ast.Assign) and n.targets[0].id == "__all__")
    for name in ast.literal_eval(offered):
        found = shaping_code.chapter_files(f"import mea_lib as mea\nmea.{name}")
        assert 0 < len(found) < 140, name


def test_a_study_is_its_files_what_they_import_and_the_package(tmp_path, own_code):
    folder = tmp_path / "benchmarks"
    folder.mkdir()
    study, helpers = folder / "some_study.py", folder / "helpers.py"

    def digest_after(path, text):
        path.write_text(text)
        read_again()
        return shaping_code.study_code_digest([study])

    helpers.write_text("def mean(values):\n    return sum(values)\n")
    first = digest_after(study, STUDY)
    assert digest_after(study, '"""Said otherwise."""\n' + STUDY) == first
    assert digest_after(own_code / "removal" / "prune.py", "EDITED = 1\n") == first
    second = digest_after(helpers, "def mean(values):\n    return max(values)\n")
    third = digest_after(own_code / "detection" / "strip.py", "EDITED = 1\n")
    fourth = digest_after(study, STUDY + "\nSEEDS = 3\n")
    assert len({first, second, third, fourth}) == 4


LOADED_BY_PATH = """
import importlib.util, sys

spec = importlib.util.spec_from_file_location("own_name", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.chapter_code_digest("import mea_lib as mea; mea.load")
print(module.code_digest("mea_lib.watermarks.runner_up"), "torch" in sys.modules, "mea_lib" in sys.modules)
"""


def test_it_can_be_loaded_by_its_path_without_the_package(tmp_path):
    file = Path(shaping_code.__file__)
    command = [sys.executable, "-c", LOADED_BY_PATH, str(file)]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout.split()
    assert found == [shaping_code.code_digest("mea_lib.watermarks.runner_up"), "False", "False"]


def test_what_loads_images_and_what_gives_names_shapes_no_model():
    assert {"data/sources.py", "training/store.py", "training/method.py"} <= shaping_code.NOT_SHAPING
    assert shaping_code.sources().keys() >= shaping_code.NOT_SHAPING
    assert not shaping_code.NOT_SHAPING & shaping_code.shaping_files()
    assert not shaping_code.NOT_SHAPING & shaping_code.shaping_files("mea_lib.watermarks.runner_up")


def test_the_code_of_a_room_is_what_its_init_file_imports():
    assert "models/resnet.py" in shaping_code.shaping_files("mea_lib.models")
    assert "models/encoder.py" not in shaping_code.shaping_files("mea_lib.models")
