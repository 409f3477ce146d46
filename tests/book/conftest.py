"""The scripts behind `make book`, the Sphinx extensions and the chapters made for these tests are imported by name."""

import os
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BOOK = HERE.parent.parent / "book"
sys.path[:0] = [str(BOOK), str(BOOK / "_ext"), str(HERE)]

QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)


@pytest.fixture(scope="module")
def browser():
    """Chromium, for all tests of a file that look at rendered pages."""
    from pdf import chromium
    from playwright.sync_api import sync_playwright

    program = chromium()
    if program is None:
        said = "there is no Chromium to look at the pages with; on Debian: sudo apt-get install chromium"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET.split())
        yield browser
        browser.close()
