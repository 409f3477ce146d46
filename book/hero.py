"""The moving picture of the idea on the first page, drawn into the page so that it follows the page's colours."""

from pathlib import Path

WORDS = """\
<p>A model that is sold through an API can be stolen by querying it: whoever collects enough answers trains a
<em>surrogate</em> on them. Can you still recognise it?</p>
<p>This book shows how to embed a watermark that travels into the surrogate, and how to prove it afterwards. You do
every step yourself: embed, extract, verify. Every number here is computed by the code beside it, read from a study
that is kept with the book, or quoted from a paper.</p>
<p class="hero-actions"><a href="../notebooks/00_steal_in_five_minutes.html">Steal a model in five minutes</a>
<a href="claims.html">See what is claimed</a></p>"""
PAUSE = '<label class="hero-pause"><input type="checkbox"> pause the animation</label>'


def hero(static: Path) -> str:
    """Raw HTML: words and picture side by side, one above the other where it is narrow.

    Args:
        static: folder with `hero.svg`, whose motion `site.css` describes.
    """
    drawing = (static / "hero.svg").read_text(encoding="utf-8")
    return (
        f'<div class="hero"><div class="hero-text">{WORDS}</div>'
        f'<div class="hero-stage">{drawing}{PAUSE}</div></div>'
    )
