"""The first chapter at the scale that the book shows, from an empty store in CI: its claims hold."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from running import run_driver


@pytest.mark.chapters
def test_chapter_00_at_laptop_scale_with_its_claims_enforced(tmp_path):
    environment = os.environ | {"MEA_STORE": os.environ.get("MEA_STORE", str(tmp_path / "store"))}
    options = ["--scale", "laptop", "--only", "00", "--out", str(tmp_path), "--no-site"]
    run_driver(options, environment, tmp_path / "log.txt")
