"""The page that says how each chapter was run: when, where, how long, with what, and what it claims."""

from collections.abc import Mapping
from html import escape

from chapter_facts import ChapterFacts
from claims_page import verdict

UNKNOWN = "–"
MAY_BE_THE_SAME = ("scale", "date", "machine", "versions")


def execution_list(chapters: Mapping[str, ChapterFacts]) -> str:
    """One table as raw HTML, a row a chapter, below what is the same in all of them.

    Args:
        chapters: by name. `mea.run` is what `run_facts` found in the run; what it does not have is a dash.
    """
    if not chapters:
        return "<p>No chapter has been run yet.</p>"
    rows = [_row(chapter) for chapter in chapters.values()]
    same = [
        name for name in MAY_BE_THE_SAME if len({row[name] for row in rows}) == 1 and rows[0][name] != UNKNOWN
    ]
    shared = "; ".join(f"{name} {rows[0][name]}" for name in same)
    names = [name for name in rows[0] if name not in same]
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join(
        f'<tr><th scope="row">{row[names[0]]}</th>'
        + "".join(f'<td data-name="{name}">{row[name]}</td>' for name in names[1:])
        + "</tr>"
        for row in rows
    )
    table = f'<table class="table execution"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return _sum(chapters) + (f"<p>In all of them: {shared}.</p>" if shared else "") + table


def _row(chapter: ChapterFacts) -> dict[str, str]:
    """What stands in each column, as HTML, by the column's name."""
    mea = chapter.mea
    run, claims = mea.get("run", {}), mea.get("claims", [])
    hold = sum(verdict(claim) == "holds" for claim in claims)
    source = f"../_sources/notebooks/{escape(chapter.name)}.ipynb"
    return {
        "chapter": f'<a href="{chapter.page}">{escape(chapter.number)} {escape(chapter.title)}</a>',
        "claims": f'<a href="claims.html#chapter-{escape(chapter.number)}">{hold} of {len(claims)}</a>'
        if claims
        else UNKNOWN,
        "seconds": _or_dash(_seconds(chapter)),
        "memory": f"{run['peak_mib']:,} MiB" if run.get("peak_mib") else UNKNOWN,
        "scale": _or_dash(mea.get("scale")),
        "date": _or_dash(run.get("date")),
        "machine": _or_dash(run.get("machine")),
        "versions": _or_dash(
            ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
        ),
        "code": f"<code>{escape(mea['code_digest'])}</code>" if mea.get("code_digest") else UNKNOWN,
        "download": f'<a href="{source}" aria-label="Notebook of chapter {escape(chapter.number)}" download>notebook</a>',
    }


def _sum(chapters: Mapping[str, ChapterFacts]) -> str:
    seconds = [_seconds(chapter) for chapter in chapters.values()]
    if not all(seconds):
        return ""
    return f"<p>{len(seconds)} chapters, {sum(seconds):,} seconds of a core from nothing.</p>"


def _seconds(chapter: ChapterFacts) -> int | None:
    return chapter.mea.get("seconds", {}).get(chapter.mea.get("scale"))


def _or_dash(value: object) -> str:
    return UNKNOWN if value in (None, "") else escape(f"{value:,}" if isinstance(value, int) else str(value))
