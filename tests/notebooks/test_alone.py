"""A chapter on its own, as on Colab: no repository, one notebook, the wheel."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from running import CHAPTERS, ROOT


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
