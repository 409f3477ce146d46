"""The stylesheets of a page in one file, so that nothing is shown after twelve requests instead of one."""

import hashlib
import posixpath
import re
from functools import cache
from pathlib import Path

_LINK = re.compile(
    r'[ \t]*<link (?=[^>]*rel="stylesheet")[^>]*href="((?:\.\./)*)_static/([^"?]+\.css)[^"]*"[^>]*>\n?'
)
_IMPORT = re.compile(r"""@import (?:url\()?["']?(?!https?:)([^"')]+)["']?\)?\s*;""")
_ADDRESS = re.compile(r"""url\(\s*(["']?)(?!data:|https?:|#)([^"')]+)\1\s*\)""")


def join_stylesheets(page: str, site: Path) -> str:
    """The page with one link in the place of all to stylesheets of the site; the joined file lies beside them.

    Args:
        page: HTML.
        site: folder with `_static`.
    """
    found = list(_LINK.finditer(page))
    if not found:
        return page
    name = _joined(site / "_static", tuple(one[2] for one in found))
    link = f'<link rel="stylesheet" href="{found[0][1]}_static/{name}" />\n'
    first = found[0].start()
    return page[:first] + link + _LINK.sub("", page[first:])


@cache
def _joined(static: Path, names: tuple[str, ...]) -> str:
    """Name of the file that holds these one after the other."""
    text = "\n".join(_read(static, name) for name in names)
    joined = f"pages.{hashlib.sha256(text.encode()).hexdigest()[:8]}.css"
    (static / joined).write_text(text, encoding="utf-8")
    return joined


def _read(static: Path, name: str) -> str:
    """A stylesheet with those that it imports; addresses in it are as they are from the folder `static`."""

    def moved(address: str) -> str:
        return posixpath.normpath(posixpath.join(posixpath.dirname(name), address))

    parts = _IMPORT.split((static / name).read_text(encoding="utf-8"))  # text, imported name, text, …
    own = [_ADDRESS.sub(lambda found: f'url("{moved(found[2])}")', part) for part in parts[::2]]
    imported = [_read(static, moved(address)) for address in parts[1::2]]
    return own[0] + "".join(a + b for a, b in zip(imported, own[1:], strict=True))
