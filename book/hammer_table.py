"""What `make hammer` found, as a table of the page about trust."""

import json
from collections.abc import Mapping
from html import escape
from pathlib import Path

NAMES = {
    "store": "A store under processes that are killed",
    "clients": "A service under a crowd of clients",
    "requests": "A service under malformed requests",
    "files": "The command line under hostile files",
}


def hammer_table(path: Path) -> str:
    """One table as raw HTML, a row for each thing that must not happen; a sentence where nothing was struck yet.

    Args:
        path: of results/hammer.json.
    """
    if not path.exists():
        return "<p>Nothing has been struck yet; <code>make hammer</code> does it.</p>"
    found = json.loads(path.read_text(encoding="utf-8"))
    rows = "".join(_rows(name, found[key]) for key, name in NAMES.items() if key in found)
    head = "".join(
        f'<th scope="col">{word}</th>' for word in ("struck", "tried", "must not happen", "happened")
    )
    about = f"{found['day']}, {found['machine']['cores']} {found['machine']['processor']} cores"
    return (
        f"<p>Struck on {escape(about)}.</p>"
        # Broader than a phone, so it is scrolled in a box of its own, as the theme's own tables are.
        f'<div class="pst-scrollable-table-container" tabindex="0"><table class="table"><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _rows(name: str, one: Mapping) -> str:
    """The rows of one strike, whose first cells reach over all of them."""
    tried = "<br>".join(_words(what, number) for what, number in one["tried"].items())
    counts = list(one["must_be_none"].items())
    first = f'<th scope="rowgroup" rowspan="{len(counts)}">{escape(name)}</th><td rowspan="{len(counts)}">{tried}</td>'
    return "".join(
        f"<tr>{first if not place else ''}<td>{escape(what)}</td><td>{number:,}</td></tr>"
        for place, (what, number) in enumerate(counts)
    )


def _words(what: str, number: int | Mapping) -> str:
    """Such as "100 kills"; of several numbers how many stand under which name."""
    words = escape(what.replace("_", " "))
    if isinstance(number, Mapping):
        return f"{words}: " + ", ".join(f"{own:,} {escape(str(name))}" for name, own in number.items())
    return f"{number:,} {words}"
