"""How much a page weighs, as a server sends it."""

import gzip
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from test_browser import CHAPTER, CLAIMS, DESK, EXECUTION, INDEX, look, site

__all__ = ["look", "site"]  # fixtures, which pytest finds here
COMPRESSED = (".html", ".js", ".css", ".svg")
KB = 1000


def loaded(window, to=None):
    """Bytes of all that a page loads, by file, until it is scrolled to an element; text is counted compressed."""
    addresses = set()
    window.on("request", lambda request: addresses.add(request.url))
    window.reload(wait_until="networkidle")
    if to:
        window.locator(to).first.scroll_into_view_if_needed()
        window.locator("mjx-container").first.wait_for()
        window.wait_for_load_state("networkidle")
    paths = [Path(unquote(urlsplit(address).path)) for address in addresses if address.startswith("file:")]
    return {
        path.name: len(gzip.compress(path.read_bytes())) if path.suffix in COMPRESSED else path.stat().st_size
        for path in paths
    }


@pytest.mark.parametrize("name", [INDEX, CLAIMS, EXECUTION])
def test_a_page_without_formulas_weighs_little(look, name):
    files = loaded(look(name, DESK))
    assert "pydata-sphinx-theme.js" in files
    assert len([file for file in files if file.endswith(".css")]) == 1
    assert not [
        file for file in files if "mathjax" in file or file.startswith("tex-") or "fontawesome" in file
    ]
    assert sum(files.values()) <= 600 * KB, files


def test_a_page_with_formulas_loads_only_the_fonts_in_use(look, site):
    window = look(f"notebooks/{CHAPTER}", DESK)
    files = loaded(window, to=".math")
    assert "tex-chtml.js" in files
    fonts = [file for file in files if file.startswith("MathJax_")]
    assert 0 < len(fonts) < len(list((site / "_static" / "mathjax").rglob("*.woff")))


def test_the_site_keeps_nothing_that_no_page_asks_for(site):
    assert not [path.name for ending in ("*.map", "*.ttf") for path in site.rglob(ending)]
    mathjax = sum(path.stat().st_size for path in (site / "_static" / "mathjax").rglob("*") if path.is_file())
    assert mathjax < 3_000 * KB


def test_mathjax_waits_until_a_formula_comes_near_the_window(look, site):
    page = site / "notebooks" / f"{CHAPTER}.html"
    late = page.with_name("late.html")
    late.write_text(page.read_text().replace("<article ", '<div style="height: 9000px"></div><article ', 1))
    window = look("notebooks/late", DESK)
    assert not [file for file in loaded(window) if file.startswith("tex-")]
    assert "tex-chtml.js" in loaded(window, to=".math")
