"""The rendered pages in a real browser: on a phone, on a tablet and on a desk."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).parent.parent.parent
sys.path.insert(0, str(ROOT / "book"))

from site_pages import claims_table  # noqa: E402

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PHONE, TABLET, DESK = 390, 768, 1280
CHAPTER = "07_jacobian"  # tables, figures, formulas and exercises
PAGES = ("book/index", "book/claims", f"notebooks/{CHAPTER}")
TOC = {
    "format": "jb-book",
    "root": PAGES[0],
    "parts": [{"caption": "A part", "chapters": [{"file": page} for page in PAGES[1:]]}],
}
# As a published site has them: the book's own options must not push them out.
PUBLISHED = {
    "launch_buttons": {"colab_url": "https://colab.example"},
    "repository": {"url": "https://github.com/owner/book", "branch": "main"},
}
CLAIM = {
    "id": "07-a",
    "chapter": CHAPTER,
    "claim": "A sentence of a usual length is claimed, with a number in it",
    "paper": "0.123 (Table 4)",
    "measured": "0.456",
    "rule": "at least 0.4",
    "holds": True,
    "scale": "laptop",
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Three of the book's pages, rendered with the book's configuration."""
    stage, out = tmp_path_factory.mktemp("stage"), tmp_path_factory.mktemp("site")
    for folder in ("_static", "_ext"):
        shutil.copytree(ROOT / "book" / folder, stage / "book" / folder)
    shutil.copy(ROOT / "book" / "references.bib", stage / "book")
    (stage / "notebooks").mkdir()
    for page in PAGES:
        (source,) = ROOT.glob(f"{page}.[mi]*")
        shutil.copy(source, stage / source.relative_to(ROOT))
    claims = stage / "book" / "claims.md"
    claims.write_text(claims.read_text().replace("<!-- claims -->", claims_table([CLAIM])))
    (stage / "book" / "_toc.yml").write_text(yaml.safe_dump(TOC))
    config = yaml.safe_load((ROOT / "_config.yml").read_text()) | PUBLISHED
    (stage / "_config.yml").write_text(yaml.safe_dump(config))
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(stage), "-q"]
    command += ["--config", str(stage / "_config.yml"), "--toc", str(stage / "book" / "_toc.yml")]
    subprocess.run([*command, "--path-output", str(out)], capture_output=True, check=True)
    return out / "_build" / "html"


@pytest.fixture(scope="module")
def browser():
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        said = "there is no Chromium to look at the pages with; on Debian: sudo apt-get install chromium"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=QUIET.split())
        yield browser
        browser.close()


@pytest.fixture
def look(browser, site):
    """Opens a page in a window of a width; afterwards no page may have failed or asked for anything outside."""
    complaints, windows = [], []

    def note_request(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            complaints.append(f"asked for {request.url}")

    def note_console(message):
        if message.type == "error":
            complaints.append(message.text)

    def open_page(name, width):
        window = browser.new_page(viewport={"width": width, "height": 844})
        windows.append(window)
        window.set_default_timeout(20_000)
        window.on("console", note_console)
        window.on("pageerror", lambda error: complaints.append(str(error)))
        window.on("request", note_request)
        window.goto(f"file://{site}/{name}.html")
        return window

    yield open_page
    for window in windows:
        window.close()
    assert not complaints


@pytest.mark.parametrize("width", [PHONE, TABLET])
def test_the_menu_opens_and_leads_to_a_chapter(look, width):
    page = look(PAGES[0], width)
    entry = page.locator(f".bd-sidebar-primary a[href$='{CHAPTER}.html']")
    assert not entry.is_visible()
    page.locator(".primary-toggle:visible").click()
    entry.click()
    page.wait_for_url(f"**/{CHAPTER}.html")
    assert page.locator("article h1").is_visible()


@pytest.mark.parametrize("width", [PHONE, TABLET, DESK])
def test_there_is_one_search_box(look, width):
    page = look(PAGES[0], width)
    page.locator(".search-button__button:visible").click()  # an error if there are two
    assert page.locator("input[type=search]:visible").count() == 1


@pytest.mark.parametrize("name", PAGES)
def test_a_page_on_a_phone_fails_nowhere_and_does_not_scroll_sideways(look, name):
    page = look(name, PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE


def test_a_published_chapter_has_its_button(look):
    page = look(PAGES[-1], DESK)
    button = page.locator("a[href^='https://colab.example/github/owner/book']")
    assert button.get_attribute("href").endswith(f"/{CHAPTER}.ipynb")
