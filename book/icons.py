"""Icons as SVG in the page, so that no page loads a library of two thousand icons and its fonts."""

import re
from functools import cache
from pathlib import Path

LIBRARY = "_static/scripts/fontawesome.js"
_ICON = re.compile(r'<(i|span)([^>]*?)class="([^"]*\bfa[srb]?\b[^"]*)"([^>]*)>\s*</\1>')
_LOADED = re.compile(
    r"[ \t]*(?:<!-- So that users can add custom icons -->\s*)?<script[^>]*fontawesome\.js[^>]*></script>\n?"
)


def inline_icons(page: str, site: Path) -> str:
    """The page with each icon drawn in it, and without the library.

    Args:
        page: HTML.
        site: the rendered site, whose own library has the drawings.

    Raises:
        ValueError: when the library does not have an icon that the page uses.
    """

    def draw(found: re.Match) -> str:
        _, before, classes, after = found.groups()
        width, height, path = _drawing(site / LIBRARY, classes)
        return (
            f'<svg{before}class="{classes} svg-inline--fa"{after} xmlns="http://www.w3.org/2000/svg" '
            f'viewBox="0 0 {width} {height}" aria-hidden="true" focusable="false">'
            f'<path fill="currentColor" d="{path}"/></svg>'
        )

    return _LOADED.sub("", _ICON.sub(draw, page))


@cache
def _drawing(library: Path, classes: str) -> tuple[str, str, str]:
    """Width, height and path of the icon that these classes name."""
    names = [word.removeprefix("fa-") for word in classes.split() if word.startswith("fa-")]
    drawings = _drawings(library)
    for name in names:
        if name in drawings:
            return drawings[name]
    raise ValueError(
        f"no icon for the classes {classes!r} in {library.name}; take another icon from that library"
    )


@cache
def _drawings(library: Path) -> dict[str, tuple[str, str, str]]:
    """All drawings of the library by name; of a name that it has filled and outlined, the filled one."""
    entry = r'["\']?([a-z0-9-]+)["\']?:\[(\d+),(\d+),\[[^\]]*\],"\w+","(M[^"]+)"\]'
    found: dict[str, tuple[str, str, str]] = {}
    for name, width, height, path in re.findall(entry, library.read_text(encoding="utf-8")):
        found[name] = (width, height, path)
    return found
