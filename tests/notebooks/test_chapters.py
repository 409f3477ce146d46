"""The chapters: how they are made, that they run, that a second run gives the same."""

import ast
import importlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NAMES = [path.stem for path in CHAPTERS]
sys.path.insert(0, str(ROOT / "book"))

from digests import cells_digest  # noqa: E402
from setup_cell import setup_cell  # noqa: E402


def code_cells(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_the_first_cells_are_the_same_everywhere(path):
    cells = code_cells(path)
    assert cells[0].source == setup_cell()
    assert "parameters" in cells[1].metadata.tags
    assert 'os.environ.get("MEA_SCALE", "laptop")' in cells[1].source


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_a_chapter_has_its_parts(path):
    text = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
    for words in (
        "After this chapter you can",
        "Predict, then run",
        "claims.save()",
        "{exercise}",
        "{solution}",
    ):
        assert words in text, words
    assert f'Claims("{path.stem}", scale)' in text


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_cells_fit_a_screen_and_pictures_have_alt_texts(path):
    for cell in code_cells(path):
        assert cell.source.count("\n") < 45
        draws = any(output.get("data", {}).get("image/png") for output in cell.outputs)
        if draws:
            assert cell.metadata["mystnb"]["image"]["alt"]


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_cells_have_ids_of_their_own(path):
    ids = [cell.id for cell in nbformat.read(path, as_version=4).cells]
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_what_a_chapter_takes_from_the_package_is_there(path):
    tree = ast.parse("\n".join(cell.source for cell in code_cells(path)))
    imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    for node in imported:
        if node.module.split(".")[0] != "mea_lib":
            continue
        room = importlib.import_module(node.module)
        for alias in node.names:
            if not hasattr(room, alias.name):
                importlib.import_module(f"{node.module}.{alias.name}")
    rooms = {"mea": "mea_lib", "proof": "mea_lib.proof"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in rooms:
            assert hasattr(importlib.import_module(rooms[node.value.id]), node.attr), node.attr


@pytest.mark.parametrize("path", CHAPTERS, ids=NAMES)
def test_stored_outputs_belong_to_the_code(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.metadata["mea"].get("outputs_of") == cells_digest(notebook), "run: make refresh"
    assert any(cell.outputs for cell in notebook.cells if cell.cell_type == "code")
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "error"
            assert output.get("name") != "stderr", "a warning or a log reached a stored output"
            assert len(str(output.get("text", "")).splitlines()) < 45


def run_driver(options, environment, log):
    """Run `make book`'s program; what it said is in the report of a test that fails, also of one that never ends."""
    command = [sys.executable, str(ROOT / "book" / "make_book.py"), *options]
    try:
        with log.open("w") as said:
            both = {"stdout": said, "stderr": subprocess.STDOUT}
            finished = subprocess.run(command, **both, env=environment, check=False)
    finally:
        print(log.read_text())
    assert finished.returncode == 0


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """All chapters run at smoke scale from an empty store, as `make book SCALE=smoke` does."""
    out = tmp_path_factory.mktemp("smoke")
    environment = os.environ | {"MEA_STORE": str(out / "store")}
    run_driver(["--scale", "smoke", "--out", str(out)], environment, out / "log.txt")
    return out


@pytest.mark.chapters
def test_every_chapter_runs_and_the_site_renders_without_a_warning(smoke):
    claims = json.loads((smoke / "claims.json").read_text())
    assert {claim["chapter"] for claim in claims} == set(NAMES)
    for name in NAMES:
        page = (smoke / "html" / "notebooks" / f"{name}.html").read_text()
        assert "Traceback" not in page
        assert "measured here" in page
    assert "00_steal_in_five_minutes" in (smoke / "html" / "book" / "claims.html").read_text()


@pytest.mark.chapters
@pytest.mark.parametrize("name", NAMES)
def test_a_second_run_on_the_warm_store_computes_the_same(smoke, name):
    environment = os.environ | {
        "MEA_STORE": str(smoke / "store"),
        "MEA_SCALE": "smoke",
        "OMP_NUM_THREADS": "1",
        "MEA_CLAIMS_DIR": str(smoke / "claims-again"),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--nbval"]
    command += ["--rootdir", str(smoke)]
    finished = subprocess.run(
        [*command, str(smoke / "notebooks" / f"{name}.ipynb")],
        capture_output=True,
        text=True,
        env=environment,
        cwd=smoke,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-4000:]


@pytest.mark.chapters
def test_chapter_00_at_laptop_scale_with_its_claims_enforced(tmp_path):
    environment = os.environ | {"MEA_STORE": os.environ.get("MEA_STORE", str(tmp_path / "store"))}
    options = ["--scale", "laptop", "--only", "00", "--out", str(tmp_path), "--no-site"]
    run_driver(options, environment, tmp_path / "log.txt")


@pytest.mark.chapters
def test_a_chapter_alone_installs_what_it_needs_from_a_wheel(tmp_path):
    """As on Colab: an empty folder, an environment without the repository, one notebook."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    shutil.copytree(ROOT / "mea_lib", source / "mea_lib", ignore=shutil.ignore_patterns("__pycache__"))
    run = {"check": True, "capture_output": True, "text": True}
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-q", "-w", str(tmp_path), str(source)]
    subprocess.run(build, **run)
    wheel = next(tmp_path.glob("*.whl"))
    # An environment that sees this one's packages, but not the repository.
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], **run)
    python = tmp_path / "venv" / "bin" / "python"
    site = subprocess.run(
        [str(python), "-c", "import site; print(site.getsitepackages()[0])"], **run
    ).stdout.strip()
    own = next(path for path in sys.path if path.endswith("site-packages"))
    (Path(site) / "outer.pth").write_text(own + "\n")
    hidden = subprocess.run(
        [str(python), "-c", "import sys, importlib.util as u; sys.exit(u.find_spec('mea_lib') is not None)"],
        cwd=tmp_path,
        check=False,
    )
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(CHAPTERS[0], alone)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MEA_")} | {
        "MEA_SOURCE": str(wheel),
        "MEA_STORE": str(tmp_path / "store"),
    }
    assert hidden.returncode == 0, "the repository is visible in the bare environment"
    command = [str(python), "-m", "papermill", CHAPTERS[0].name, "out.ipynb", "-p", "SCALE", "smoke"]
    finished = subprocess.run(
        [*command, "-k", "python3"], cwd=alone, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    installed = {path.name.split("-")[0] for path in Path(site).glob("*.dist-info")}
    assert "mea_lib" in installed
    assert "torch" not in installed, "torch was installed a second time"
