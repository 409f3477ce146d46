"""The chapters as cards for the first page: question, minutes and difficulty, part by part."""

from collections.abc import Mapping
from html import escape

from chapter_facts import ChapterFacts, difficulties

STARS = {1: "easy", 2: "needs some chapters before it", 3: "needs most chapters before it"}


def chapter_cards(toc: Mapping, chapters: Mapping[str, ChapterFacts]) -> str:
    """Raw HTML: one list of cards a part of the book that has chapters.

    Args:
        toc: the book's table of contents, as `_toc.yml` holds it.
        chapters: by name; those that the table of contents does not have get no card.
    """
    stars = difficulties(chapters)
    parts = []
    for part in toc.get("parts", []):
        files = [entry["file"] for entry in part["chapters"]]
        names = [file.removeprefix("notebooks/") for file in files if file.startswith("notebooks/")]
        cards = [_card(chapters[name], stars[name]) for name in names if name in chapters]
        if cards:
            parts.append(f'<p class="cards-part">{escape(part["caption"])}</p>')
            parts.append(f'<ul class="cards">{"".join(cards)}</ul>')
    return f'<div class="chapter-cards">{"".join(parts)}</div>' if parts else ""


def _card(chapter: ChapterFacts, stars: int) -> str:
    minutes = f"{chapter.minutes} min" if chapter.minutes else "–"
    drawn = f'<span aria-hidden="true">{"★" * stars}{"☆" * (3 - stars)}</span>'
    words = f'<span class="visually-hidden">difficulty {stars} of 3: {STARS[stars]}</span>'
    return (
        f'<li class="card-chapter"><a href="{chapter.page}"><span class="card-number">{escape(chapter.number)}</span>'
        f'<span class="card-title">{escape(chapter.title)}</span>'
        f'<span class="card-question">{escape(chapter.question)}</span>'
        f'<span class="card-facts"><span title="on a CPU core, from nothing">{minutes}</span>'
        f'<span title="difficulty: {STARS[stars]}">{drawn}{words}</span></span></a></li>'
    )
