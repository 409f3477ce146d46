"""All chapters at smoke scale, as `make book SCALE=smoke` runs them, and once more on the store that is then there."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from running import NAMES, run_driver

pytestmark = pytest.mark.chapters


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    """All chapters run at smoke scale from an empty store, as `make book SCALE=smoke` does."""
    out = tmp_path_factory.mktemp("smoke")
    environment = os.environ | {"MEA_STORE": str(out / "store")}
    run_driver(["--scale", "smoke", "--out", str(out)], environment, out / "log.txt")
    return out


def test_every_chapter_runs_and_the_site_renders_without_a_warning(smoke):
    claims = json.loads((smoke / "claims.json").read_text())
    assert {claim["chapter"] for claim in claims} == set(NAMES)
    for name in NAMES:
        page = (smoke / "html" / "notebooks" / f"{name}.html").read_text()
        assert "Traceback" not in page
        assert "measured here" in page
    assert "00_steal_in_five_minutes" in (smoke / "html" / "book" / "claims.html").read_text()


def test_a_second_run_on_the_warm_store_computes_the_same(smoke):
    """nbval runs the executed copies again and compares their outputs."""
    environment = os.environ | {
        "MEA_STORE": str(smoke / "store"),
        "MEA_SCALE": "smoke",
        "OMP_NUM_THREADS": "1",
        "MEA_CLAIMS_DIR": str(smoke / "claims-again"),
    }
    copies = [str(smoke / "notebooks" / f"{name}.ipynb") for name in NAMES]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(smoke)]
    finished = subprocess.run(
        [*command, "--nbval", "-n", "2", "--dist", "loadfile", *copies],
        capture_output=True,
        text=True,
        env=environment,
        cwd=smoke,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout[-8000:]
