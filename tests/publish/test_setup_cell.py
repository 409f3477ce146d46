"""The first cell of a chapter, run by somebody who has nothing: it installs, or says how to go on."""

import os
import subprocess
import sys
import zipfile

import pytest
from setup_cell import setup_cell


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """The Python of an empty environment, which the tests of this file share until one installs into it."""
    folder = tmp_path_factory.mktemp("empty") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    return folder / "bin" / "python"


def run(python, folder, *sources, **variables):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEA_", "PYTHON"))}
    command = [python, "-c", setup_cell(sources) + "\nimport mea_lib; print('at', mea_lib.__file__)"]
    return subprocess.run(
        command, cwd=folder, env=kept | variables, capture_output=True, text=True, check=False, timeout=300
    )


def wheel(folder):
    """A package of that name that holds nothing."""
    path = folder / "mea_lib-1-py3-none-any.whl"
    about = "mea_lib-1.dist-info"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("mea_lib/__init__.py", "")
        packed.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: mea-lib\nVersion: 1\n")
        packed.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        packed.writestr(f"{about}/RECORD", "")
    return path


def test_without_an_address_it_says_what_to_type(python, tmp_path):
    said = run(python, tmp_path)
    assert said.returncode == 1
    assert "could not be installed from anywhere, as no address is given" in said.stderr
    for line in (
        "the Python of .venv as kernel",
        '%pip install "..[service]"',
        '%pip install "path/to/a/wheel.whl[service]"',
        '%pip install "mea-lib[service] @ git+https://',
        "%env MEA_SOURCE=",
    ):
        assert line in said.stderr


def test_an_address_that_does_not_answer_is_named(python, tmp_path):
    said = run(python, tmp_path, str(tmp_path / "gone.whl"))
    assert said.returncode == 1
    assert "gone.whl" in said.stderr.split("could not be installed from")[1]


def test_what_is_named_by_hand_is_taken_instead(python, tmp_path):
    said = run(python, tmp_path, str(wheel(tmp_path)), MEA_SOURCE=str(tmp_path / "mine.whl"))
    assert said.returncode == 1
    assert "mine.whl" in said.stderr.split("could not be installed from")[1]


def test_the_second_source_is_tried_where_the_first_fails(python, tmp_path):
    said = run(python, tmp_path, str(tmp_path / "gone.whl"), str(wheel(tmp_path)))
    assert said.returncode == 0, said.stderr
    assert said.stdout.startswith(f"at {python.parent.parent}")
