"""The last step on rendered pages: they get lighter, and learn what the renderer cannot tell them."""

import re
import shutil
from pathlib import Path

from icons import LIBRARY, inline_icons
from image_sizes import size_images
from one_stylesheet import join_stylesheets
from page_head import finish_head, front_page
from page_words import write_words

# What the formulas of this book make MathJax load; its other versions, readers and languages stay away.
MATHJAX = ("tex-chtml.js", "input/tex/extensions/", "output/chtml/fonts/woff-v2/", "ui/lazy.js")
# The theme names this button "Search", while it also shows the keys: what is to be seen has to be in a name.
NAMED_BUTTON = re.compile(r'(<button class="[^"]*search-button-field[^>]*?) aria-label="[^"]*"')
# sphinx-exercise gives every exercise's content the same identity, and no link leads to it.
REPEATED_ID = re.compile(r' id="(?:exercise|solution)-content"')
FIRST = "book/index.html"
WORDS = "".join(
    f'\n  <script defer src="_static/{name}"></script>' for name in ("page_words.js", "search_excerpts.js")
)


def finish_site(site: Path, address: str = "") -> None:
    """Finish the rendered site in its folder.

    Args:
        site: folder with `index.html` and `_static`.
        address: where it will be published, with a slash at its end, if that is known.
    """
    for path in (path for path in site.rglob("*.html") if "_static" not in path.parts):
        name = path.relative_to(site).as_posix()
        if name == "index.html":
            continue
        page = path.read_text(encoding="utf-8")
        page = finish_head(NAMED_BUTTON.sub(r"\1", inline_icons(page, site)), name, address)
        page = REPEATED_ID.sub("", join_stylesheets(size_images(page, path.parent), site))
        if name == "search.html":
            page = page.replace("</head>", f"{WORDS}\n  </head>", 1)
        path.write_text(page, encoding="utf-8")
    first = site / FIRST
    if first.exists():
        front = front_page(first.read_text(encoding="utf-8"), FIRST, address)
        (site / "index.html").write_text(front, encoding="utf-8")
    write_words(site)
    _drop_unused(site)


def _drop_unused(site: Path) -> None:
    """Remove what no page asks for: maps of scripts, the library of icons, most of MathJax."""
    static = site / "_static"
    (site / LIBRARY).unlink(missing_ok=True)
    for path in [*static.rglob("*.map"), *static.glob("vendor/**/*.ttf")]:
        path.unlink()
    mathjax = static / "mathjax"
    for path in [path for path in mathjax.rglob("*") if path.is_file()]:
        if not path.relative_to(mathjax).as_posix().startswith(MATHJAX):
            path.unlink()
    for folder in sorted((path for path in mathjax.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            shutil.rmtree(folder)
