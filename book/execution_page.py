"""The page that says how each chapter was run: when, where, how long, with what, and what it claims."""

from collections.abc import Mapping
from html import escape

from chapter_facts import ChapterFacts
from claims_page import verdict

UNKNOWN = "–"


def execution_list(chapters: Mapping[str, ChapterFacts]) -> str:
    """One table as raw HTML, a row a chapter, with a sum of the seconds where all are known.

    Args:
        chapters: by name. `mea.run` is what `run_facts` found in the run; what it does not have is a dash.
    """
    if not chapters:
        return "<p>No chapter has been run yet.</p>"
    rows = [_row(chapter) for chapter in chapters.values()]
    names = (
        "chapter",
        "claims",
        "seconds",
        "memory",
        "scale",
        "date",
        "machine",
        "versions",
        "code",
        "download",
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    cells = (
        "".join(f'<td data-name="{name}">{cell}</td>' for name, cell in zip(names[1:], row[1:], strict=True))
        for row in rows
    )
    body = "".join(
        f'<tr><th scope="row">{row[0]}</th>{rest}</tr>' for row, rest in zip(rows, cells, strict=True)
    )
    return f'{_sum(chapters)}<table class="table execution"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def _row(chapter: ChapterFacts) -> tuple[str, ...]:
    mea = chapter.mea
    run, claims = mea.get("run", {}), mea.get("claims", [])
    hold = sum(verdict(claim) == "holds" for claim in claims)
    versions = run.get("versions", {})
    written = "<br>".join(f"{escape(name)} {escape(version)}" for name, version in versions.items())
    source = f"../_sources/notebooks/{escape(chapter.name)}.ipynb"
    return (
        f'<a href="{chapter.page}">{escape(chapter.number)} {escape(chapter.title)}</a>',
        f'<a href="claims.html#chapter-{escape(chapter.number)}">{hold} of {len(claims)}</a>'
        if claims
        else UNKNOWN,
        _or_dash(_seconds(chapter)),
        f"{run['peak_mib']:,} MiB" if run.get("peak_mib") else UNKNOWN,
        _or_dash(mea.get("scale")),
        _or_dash(run.get("date")),
        _or_dash(run.get("machine")),
        written or UNKNOWN,
        f"<code>{escape(mea['code_digest'])}</code>" if mea.get("code_digest") else UNKNOWN,
        f'<a href="{source}" aria-label="Notebook of chapter {escape(chapter.number)}" download>notebook</a>',
    )


def _sum(chapters: Mapping[str, ChapterFacts]) -> str:
    seconds = [_seconds(chapter) for chapter in chapters.values()]
    if not all(seconds):
        return ""
    return f"<p>{len(seconds)} chapters, {sum(seconds):,} seconds of a core from nothing.</p>"


def _seconds(chapter: ChapterFacts) -> int | None:
    return chapter.mea.get("seconds", {}).get(chapter.mea.get("scale"))


def _or_dash(value: object) -> str:
    return UNKNOWN if value in (None, "") else escape(f"{value:,}" if isinstance(value, int) else str(value))
