"""The page "What reproduced": each table, figure and equation of the paper, and what this book's claims say of it."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from page_text import page_text

# From what carries most to what carries least; an item is as good as the worst of its claims.
WORDS = {
    "yes": "✓ yes",
    "beyond": "» beyond",
    "weaker": "~ weaker",
    "no": "✗ no",
    "different method": "different method",
    "not measured": "not measured",
}
_WORST_FIRST = ("no", "weaker", "beyond", "yes", "different method")


def reproduced_list(items: Sequence[Mapping], claims: Sequence[Mapping]) -> str:
    """All items as raw HTML: a count, then one table a part of the paper.

    Args:
        items: of `reproduced.yaml`: part, item, paper; where it was measured `claims`, ids; where code alone stands for
            it `shown` with `chapter`; and `why` in words, for what deviates.
        claims: as `claims.json` has them.
    """
    by_id = {claim["id"]: claim for claim in claims}
    rows = [(item, [by_id[key] for key in item.get("claims", ()) if key in by_id]) for item in items]
    said = [verdict(item, own) for item, own in rows]
    counts = ", ".join(f"{said.count(kind)} {kind}" for kind in WORDS if kind in said)
    parts = dict.fromkeys(item["part"] for item in items)
    tables = "".join(
        _table(
            part,
            [(item, own, kind) for (item, own), kind in zip(rows, said, strict=True) if item["part"] == part],
        )
        for part in parts
    )
    return (
        f'<p class="claims-summary"><strong>{len(items)} items of the paper:</strong> {counts}.</p>{tables}'
    )


def verdict(item: Mapping, claims: Iterable[Mapping]) -> str:
    """Key of WORDS: what the item says itself, else the worst of its claims about the paper's own method."""
    if "shown" in item:
        return item["shown"]
    agreements = [claim.get("agrees_with_paper") for claim in claims]
    return next((kind for kind in _WORST_FIRST if kind in agreements), "not measured")


def _table(part: str, rows: Sequence[tuple[Mapping, list[Mapping], str]]) -> str:
    head = "".join(
        f'<th scope="col">{name}</th>' for name in ("item", "the paper", "here", "reproduced", "why")
    )
    body = "".join(_row(*row) for row in rows)
    return (
        f"<h2>{escape(part)}</h2>"
        f'<table class="table reproduced"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def _row(item: Mapping, claims: Sequence[Mapping], kind: str) -> str:
    here = "".join(map(_claim, claims))
    if not claims and "chapter" in item:
        name = escape(item["chapter"])
        here = f'<p><a href="../notebooks/{name}.html">chapter {name[:2]}</a></p>'
    return (
        f'<tr data-verdict="{kind.replace(" ", "-")}"><th scope="row">{escape(item["item"])}</th>'
        f'<td data-name="paper">{page_text(item["paper"])}</td><td data-name="here">{here or "–"}</td>'
        f'<td data-name="reproduced">{WORDS[kind]}</td><td>{page_text(item.get("why", ""))}</td></tr>'
    )


def _claim(claim: Mapping) -> str:
    """What was measured, with links to the claim's cell and to its entry among all claims."""
    name, key = escape(claim["chapter"]), escape(claim["id"])
    return (
        f"<p><strong>{page_text(claim['measured'])}</strong> {escape(claim['claim'])} "
        f'(<a href="../notebooks/{name}.html">chapter {name[:2]}</a>, <a href="claims.html#{key}">claim</a>)</p>'
    )
