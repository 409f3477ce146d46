"""How much a page weighs, as a server sends it."""

import gzip
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from test_browser import CHAPTER, CLAIMS, DESK, EXECUTION, INDEX, look, site

__all__ = ["look", "site"]  # fixtures, which pytest finds here
COMPRESSED = (".html", ".js", ".css", ".svg")
KB = 1000


def loaded(window):
    """Bytes of all that a page loads, by file; text is counted compressed."""
    addresses = set()
    window.on("request", lambda request: addresses.add(request.url))
    window.reload(wait_until="networkidle")
    paths = [Path(unquote(urlsplit(address).path)) for address in addresses if address.startswith("file:")]
    return {
        path.name: len(gzip.compress(path.read_bytes())) if path.suffix in COMPRESSED else path.stat().st_size
        for path in paths
    }


@pytest.mark.parametrize("name", [INDEX, CLAIMS, EXECUTION])
def test_a_page_without_formulas_weighs_little(look, name):
    files = loaded(look(name, DESK))
    assert {"site.css", "pydata-sphinx-theme.js"} <= set(files)
    assert not [
        file for file in files if "mathjax" in file or file.startswith("tex-") or "fontawesome" in file
    ]
    assert sum(files.values()) <= 600 * KB, files


def test_a_page_with_formulas_loads_only_the_fonts_in_use(look, site):
    window = look(f"notebooks/{CHAPTER}", DESK)
    files = loaded(window)
    assert "tex-chtml.js" in files
    fonts = [file for file in files if file.startswith("MathJax_")]
    assert 0 < len(fonts) < len(list((site / "_static" / "mathjax").rglob("*.woff")))


def test_the_site_keeps_nothing_that_no_page_asks_for(site):
    assert not [path.name for ending in ("*.map", "*.ttf") for path in site.rglob(ending)]
    mathjax = sum(path.stat().st_size for path in (site / "_static" / "mathjax").rglob("*") if path.is_file())
    assert mathjax < 3_000 * KB
