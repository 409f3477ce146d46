"""Pictures of a page say how large they are, so that the text below does not move when they come."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote

import imagesize

_IMAGE = re.compile(r'<img (?![^>]*\bwidth=)([^>]*?)src="([^":?]+)"([^>]*?)(\s*/?)>')
_AHEAD = 'class="ahead-picture"'


def size_images(page: str, folder: Path) -> str:
    """The page with width and height of each of its pictures; those that are not on the first screen come later.

    Args:
        page: HTML.
        folder: of the page, from which the addresses of pictures are read.
    """

    def describe(found: re.Match) -> str:
        before, source, after, end = found.groups()
        size = _size(folder / unquote(source))
        if size is None:
            return found[0]
        ahead = _AHEAD in page[max(0, found.start() - 200) : found.start()]
        later = not ahead and "_images/" in source
        when = 'fetchpriority="high"' if ahead else 'loading="lazy"' if later else 'decoding="async"'
        return f'<img {before}src="{source}"{after} width="{size[0]}" height="{size[1]}" {when}{end}>'

    return _IMAGE.sub(describe, page)


@cache
def _size(path: Path) -> tuple[int, int] | None:
    """Pixels, or None for what is no file or has no size of its own."""
    try:
        width, height = imagesize.get(path)
    except (OSError, ValueError):
        return None
    return (round(width), round(height)) if width > 0 and height > 0 else None
