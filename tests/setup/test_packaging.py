"""What is in the wheel, and that a reader who has only the wheel sees the studies."""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
# What makes the package, and what its source distribution has beside it.
PARTS = (
    *("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "mea_lib", "results"),
    *(
        "notebooks",
        "book",
        "tests",
        "benchmarks",
        "grid",
        "Makefile",
        "constraints.txt",
        "hashes",
        "_config.yml",
        "CITATION.cff",
    ),
)
STUDIES = {f"mea_lib/results/{path.name}" for path in (ROOT / "results").glob("*.json")}


def build(source, kind):
    """Build in a folder: "wheel", "editable" or "sdist"; the path of the file."""
    out = source / "built"
    script = f"from setuptools import build_meta; print(build_meta.build_{kind}({str(out)!r}))"
    command = [sys.executable, "-c", script]
    shown = subprocess.run(command, cwd=source, capture_output=True, text=True, check=True).stdout
    return out / shown.splitlines()[-1]


def names(wheel):
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A copy of what makes the package, with the remains of an older build."""
    folder = tmp_path_factory.mktemp("source")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, folder)
    for part in ("mea_lib/gone.py", "mea_lib/results/gone_study.json"):
        old = folder / "build" / "lib" / part
        old.parent.mkdir(parents=True, exist_ok=True)
        old.touch()
    return folder


@pytest.fixture(scope="module")
def wheel(source):
    return build(source, "wheel")


def test_the_wheel_has_the_code_the_studies_and_the_mark_of_typed_code(wheel):
    found = {name for name in names(wheel) if ".dist-info/" not in name}
    code = {path.relative_to(ROOT).as_posix() for path in (ROOT / "mea_lib").rglob("*.py")}
    assert found == code | STUDIES | {"mea_lib/py.typed"}


def test_the_source_distribution_makes_the_same_wheel(source, wheel, tmp_path):
    with tarfile.open(build(source, "sdist")) as packed:
        packed.extraction_filter = getattr(
            tarfile, "data_filter", None
        )  # Python 3.11.2, which Debian has, lacks it
        packed.extractall(tmp_path)
    (unpacked,) = tmp_path.iterdir()
    assert names(build(unpacked, "wheel")) == names(wheel)


def test_the_source_distribution_is_the_whole_book(source):
    with tarfile.open(build(source, "sdist")) as packed:
        found = {name.partition("/")[2] for name in packed.getnames()}
    expected = {part for part in PARTS if (ROOT / part).is_file()}
    for folder in ("notebooks", "book", "hashes", "tests", "benchmarks", "results"):
        expected |= {
            path.relative_to(source).as_posix() for path in (source / folder).rglob("*") if path.is_file()
        }
    assert expected <= found
    assert not {name for name in found if "__pycache__" in name or name.startswith("build/")}


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_in_an_empty_environment_either_file_brings_the_studies_that_chapters_show(source, tmp_path, kind):
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--no-deps", build(source, kind)]
    subprocess.run(install, check=True, cwd=tmp_path)
    chapters = " ".join(path.read_text() for path in (ROOT / "notebooks").glob("*.ipynb"))
    studies = sorted(set(re.findall(r'find_results\(\\"(\w+)\\"\)', chapters)))
    assert "removal_study" in studies, "chapter 15 shows it"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [python, "-c", FIND, *studies]
    shown = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    ).stdout
    place, *found = json.loads(shown)
    assert Path(place).is_relative_to(tmp_path / "venv")
    kept = {path.stem: json.loads(path.read_text()) for path in (ROOT / "results").glob("*.json")}
    assert found == [kept.get(name) for name in studies]  # some are shown as soon as they have been made


def test_an_editable_installation_leaves_the_studies_where_they_are(source):
    assert not {name for name in names(build(source, "editable")) if name.endswith(".json")}
    assert not (source / "mea_lib" / "results").exists()


# The one module, without its room, whose figures and tensors take seconds to import.
FIND = """
import json, runpy, sys
import mea_lib
find_results = runpy.run_path(f"{mea_lib.__path__[0]}/teaching/results.py")["find_results"]
print(json.dumps([mea_lib.__file__, *map(find_results, sys.argv[1:])]))
"""


def found_from(folder, package):
    """Where the package was found from a folder, and the study it shows there."""
    environment = os.environ | {"PYTHONPATH": str(package)}
    command = [sys.executable, "-c", FIND, "attack_study"]
    shown = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    ).stdout
    return json.loads(shown)


def test_a_reader_with_only_the_wheel_sees_the_studies_and_a_working_tree_its_own(wheel, tmp_path):
    installed, bare, tree = (tmp_path / name for name in ("installed", "bare", "tree"))
    for folder in (bare, tree / "results", tree / "notebooks"):
        folder.mkdir(parents=True)
    zipfile.ZipFile(wheel).extractall(installed)
    place, study = found_from(bare, installed)
    assert Path(place).is_relative_to(installed)
    assert study == json.loads((ROOT / "results" / "attack_study.json").read_text())
    (tree / "results" / "attack_study.json").write_text('{"runs": "my own"}')
    assert found_from(tree / "notebooks", installed)[1] == {"runs": "my own"}


def test_an_editable_installation_is_used_from_any_folder(source, tmp_path):
    place, study = found_from(tmp_path, source)
    assert Path(place).is_relative_to(source)
    assert study["runs"]
