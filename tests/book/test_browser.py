"""The rendered pages in a real browser: on a phone, on a tablet and on a desk, in light and in dark."""

import shutil

import nbformat
import pytest
import site_pages
import yaml
from toy_chapters import ROOT, STORED_CLAIM

PHONE, TABLET, DESK = 390, 768, 1440
WIDTHS = (PHONE, TABLET, DESK)
CHAPTER = "08_jacobian"  # tables, figures, formulas and exercises
INDEX, CLAIMS, EXECUTION, *_ = PAGES = (
    "book/index",
    "book/claims",
    "book/execution",
    "book/trust",
    "book/licences",
    "book/package",
    "book/reproduced",
)
ALL = (*PAGES, f"notebooks/{CHAPTER}", "search")
TOC = {
    "format": "jb-book",
    "root": INDEX,
    "parts": [{"caption": "A part", "chapters": [{"file": page} for page in ALL[1:-1]]}],
}
# As a published site has them: the book's own options must not push them out.
PUBLISHED = {
    "launch_buttons": {"colab_url": "https://colab.example"},
    "repository": {"url": "https://github.com/owner/book", "branch": "main"},
}
CLAIM = STORED_CLAIM | {
    "id": "07-a",
    "chapter": CHAPTER,
    "claim": "A sentence of a usual length is claimed, with a number in it",
    "paper": "0.123 (Table 4)",
    "measured": "0.456",
}
CLAIM_LIST = [
    CLAIM,
    CLAIM | {"id": "07-b", "claim": "Another one", "holds": False},
    CLAIM | {"id": "00-c", "chapter": "00_other", "claim": "The third"},
]
SCREENSHOTS = ROOT / "build" / "screenshots"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A few of the book's pages, staged and rendered as the book's are."""
    root, out = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("site")
    for folder in ("_static", "_ext"):
        shutil.copytree(ROOT / "book" / folder, root / "book" / folder)
    for name in (
        *(f"{page}.md" for page in PAGES),
        "book/licences.json",
        "book/reproduced.yaml",
        "book/references.bib",
    ):
        shutil.copy(ROOT / name, root / name)
    (root / "book" / "_toc.yml").write_text(yaml.safe_dump(TOC))
    config = yaml.safe_load((ROOT / "_config.yml").read_text()) | PUBLISHED
    (root / "_config.yml").write_text(yaml.safe_dump(config))
    shutil.copy(ROOT / "pyproject.toml", root)
    chapter = nbformat.read(ROOT / "notebooks" / f"{CHAPTER}.ipynb", as_version=4)
    stage = site_pages.stage_pages(root, out / "stage", CLAIM_LIST, {CHAPTER: chapter})
    return site_pages.build_pages(stage, out / "pages")  # links to chapters that are not here may warn


@pytest.fixture
def look(browser, site):
    """Opens a page in a window of a width; afterwards no page may have failed or asked for anything outside."""
    complaints, windows = [], []

    def note_request(request):
        if not request.url.startswith(("file:", "data:", "blob:")):
            complaints.append(f"asked for {request.url}")

    def note_failure(request):
        if request.failure != "net::ERR_ABORTED":  # given up, as the page was left
            complaints.append(f"did not get {request.url}")

    def note_console(message):
        if message.type == "error":
            complaints.append(message.text)

    def open_page(name, width, **options):
        window = browser.new_page(viewport={"width": width, "height": 844}, **options)
        windows.append(window)
        window.set_default_timeout(20_000)
        window.on("console", note_console)
        window.on("pageerror", lambda error: complaints.append(str(error)))
        window.on("request", note_request)
        if options.get("java_script_enabled", True):  # without scripts what was preloaded for them is dropped
            window.on("requestfailed", note_failure)
        address, mark, rest = name.partition("?") if "?" in name else name.partition("#")
        window.goto(f"file://{site}/{address}.html{mark}{rest}")
        return window

    yield open_page
    for window in windows:
        window.close()
    assert not complaints


@pytest.mark.parametrize("width", [PHONE, TABLET])
def test_the_menu_opens_and_leads_to_a_chapter(look, width):
    page = look(INDEX, width)
    entry = page.locator(f".bd-sidebar-primary a[href$='{CHAPTER}.html']")
    assert not entry.is_visible()
    page.locator(".primary-toggle:visible").click()
    entry.click()
    page.wait_for_url(f"**/{CHAPTER}.html")
    assert page.locator("article h1").is_visible()


@pytest.mark.parametrize("width", WIDTHS)
def test_a_word_is_searched_and_found_with_the_words_around_it(look, width):
    page = look(INDEX, width)
    page.locator(".search-button__button:visible").click()  # an error if there are two
    box = page.locator("input[type=search]:visible")
    assert box.count() == 1
    box.fill("photographs")
    box.press("Enter")
    page.wait_for_url("**/search.html?q=photographs")
    result = page.locator("#search-results li", has=page.locator(f"a[href*='{CHAPTER}']")).first
    assert result.locator(".context mark").first.inner_text().lower().startswith("photograph")
    assert len(result.locator(".context").inner_text()) > 100


def test_the_keyboard_leads_past_the_menu_into_the_text(look):
    page = look(INDEX, DESK)
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to main content"
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('#main-content').contains(document.activeElement)")


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_a_page_fails_nowhere_and_does_not_scroll_sideways(look, name, width, theme):
    page = look(name, width, color_scheme=theme, reduced_motion="reduce")
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name.replace('/', '_')}.{width}.{theme}.png", full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("html").get_attribute("data-theme") == theme


@pytest.mark.parametrize("name", ALL[:-1])
def test_each_page_says_its_edition_and_leads_on(look, name):
    page = look(name, DESK)
    assert page.locator(".edition").inner_text().startswith("Version ")
    assert page.locator(".prev-next-area a").count() >= 1
    assert page.locator("head link[rel~=icon]").count() == 1
    assert page.locator("img.logo__image:visible").evaluate("image => image.naturalWidth") > 0


def test_a_published_chapter_has_its_button(look):
    page = look(f"notebooks/{CHAPTER}", DESK)
    button = page.locator("a[href^='https://colab.example/github/owner/book']")
    assert button.get_attribute("href").endswith(f"/{CHAPTER}.ipynb")


def test_formulas_are_set_with_what_is_left_of_mathjax(look):
    page = look(f"notebooks/{CHAPTER}", DESK)
    # A formula is set when the reader comes near it.
    page.evaluate("document.querySelector('.math').scrollIntoView()")
    page.locator("mjx-container:visible").first.wait_for()
    assert page.locator("mjx-merror").count() == 0
    assert not page.locator(".math", has_text="\\(").count()


def test_the_picture_moves_only_for_those_who_want_that_and_can_be_held(look):
    moving = "[...document.querySelectorAll('.hero-picture *')].some(e => e.getAnimations().some(a => a.playState == 'running'))"
    assert not look(INDEX, DESK, reduced_motion="reduce").evaluate(moving)
    page = look(INDEX, DESK, reduced_motion="no-preference")
    assert page.evaluate(moving)
    page.get_by_label("pause the animation").check()
    assert not page.evaluate(moving)


def shown(page):
    return [claim.get_attribute("id") for claim in page.locator(".claim:visible").all()]


def test_claims_are_filtered_by_chapter_verdict_and_words(look):
    page = look(CLAIMS, DESK)
    assert shown(page) == ["07-a", "07-b", "00-c"]
    page.get_by_label("verdict").select_option("holds")
    assert shown(page) == ["07-a", "00-c"]
    page.get_by_role("combobox", name="chapter", exact=True).select_option(CHAPTER)
    assert shown(page) == ["07-a"]
    assert page.locator("output").inner_text() == "1 shown"
    page.get_by_label("verdict").select_option("")
    page.get_by_label("words").fill("ANOTHER")
    assert shown(page) == ["07-b"]


def test_claims_are_a_short_list_of_chapters_on_a_phone_and_a_link_opens_one(look):
    page = look(CLAIMS, PHONE)
    assert shown(page) == []
    page.locator("summary", has_text="00").click()
    assert shown(page) == ["00-c"]
    assert shown(look(f"{CLAIMS}#07-b", PHONE)) == ["07-a", "07-b"]


def test_claims_are_a_full_list_without_scripts(look):
    page = look(CLAIMS, PHONE, java_script_enabled=False)
    assert shown(page) == ["07-a", "07-b", "00-c"]
    assert not page.locator(".claims-filters").is_visible()
