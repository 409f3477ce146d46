"""The page of the licences of what the book is made with."""

from collections.abc import Mapping, Sequence
from html import escape

UNSAID = "not named in its metadata"


def licences_list(packages: Sequence[Mapping[str, str | None]]) -> str:
    """One table as raw HTML, a row a package.

    Args:
        packages: as `licences.find_licences` gives them.
    """
    rows = "".join(map(_row, packages))
    head = "".join(f'<th scope="col">{name}</th>' for name in ("package", "version", "licence"))
    return f'<table class="table licences"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _row(package: Mapping[str, str | None]) -> str:
    name = escape(package["name"])
    if package["page"]:
        name = f'<a href="{escape(package["page"])}">{name}</a>'
    licence = escape(package["licence"] or UNSAID)
    return f'<tr><th scope="row">{name}</th><td>{escape(package["version"])}</td><td>{licence}</td></tr>'
