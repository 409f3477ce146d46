"""The servers that the tests of this folder talk to."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fake_server as fake


@pytest.fixture
def suspect():
    """A suspect that behaves as a test's script says."""
    with fake.serving() as suspect:
        yield suspect
