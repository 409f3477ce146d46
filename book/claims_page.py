"""The page of all claims: a summary, filters, and one entry a claim that can be linked to."""

from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby

from chapter_facts import ChapterFacts, days_and_machines
from page_text import page_text

VERDICTS = {"holds": "✓ holds", "broken": "✗ does not hold", "unclaimed": "not claimed"}
# What a claim may say about the paper's figure; others are shown as they are written.
AGREEMENT = {True: "yes", False: "no"}


def claims_list(claims: Sequence[Mapping], chapters: Mapping[str, ChapterFacts] | None = None) -> str:
    """All claims as raw HTML, grouped by chapter; without scripts it is the full list, with them it has filters.

    Args:
        claims: as `claims.json` has them: id, chapter, claim, paper, measured, rule, holds, scale, and where they
            are known method and agrees_with_paper.
        chapters: for titles and for date, machine and minutes of the run; by name.
    """
    if not claims:
        return "<p>No chapter has been run yet, so nothing is claimed.</p>"
    chapters = chapters or {}
    groups = [(name, list(group)) for name, group in groupby(claims, key=lambda claim: claim["chapter"])]
    sections = "".join(_chapter(name, group, chapters.get(name)) for name, group in groups)
    entries = f"{_summary(claims, chapters)}{_filters(claims, groups)}{sections}"
    return f'<div class="claims" id="all-claims">{entries}</div><script src="../_static/claims.js"></script>'


def verdict(claim: Mapping) -> str:
    """Key of VERDICTS: nothing is claimed at smoke scale."""
    if claim["scale"] == "smoke":
        return "unclaimed"
    return "holds" if claim["holds"] else "broken"


def agreement(claim: Mapping) -> str:
    """How the figure stands to the paper's, in words; empty where the claim does not say."""
    said = claim.get("agrees_with_paper")
    return AGREEMENT[said] if isinstance(said, bool) else str(said or "")


def _summary(claims: Sequence[Mapping], chapters: Mapping[str, ChapterFacts]) -> str:
    claimed = [claim for claim in claims if verdict(claim) != "unclaimed"]
    hold = sum(verdict(claim) == "holds" for claim in claimed)
    scales = sorted({claim["scale"] for claim in claims})
    days, machines = days_and_machines(chapters)
    seconds = [
        chapter.mea.get("seconds", {}).get(scale) for chapter in chapters.values() for scale in scales[:1]
    ]
    facts = [f"scale {', '.join(scales)}"]
    facts += [f"{days[0]} to {days[-1]}" if len(days) > 1 else days[0]] if days else []
    facts += [", ".join(machines)] if machines else []
    facts += [f"{sum(seconds) / 60:.0f} minutes of a core from nothing"] if seconds and all(seconds) else []
    note = "" if len(claimed) == len(claims) else " Nothing is claimed at smoke scale."
    head = f"{hold} of {len(claimed)} claims hold" if claimed else f"{len(claims)} claims were only tried"
    return f'<p class="claims-summary"><strong>{head}.</strong> {escape(" · ".join(facts))}.{note}</p>'


def _filters(claims: Sequence[Mapping], groups: Sequence[tuple[str, list]]) -> str:
    """Selections that `claims.js` listens to; what no claim says is not offered."""
    choices = {
        "chapter": [(name, name[:2]) for name, _ in groups],
        "verdict": [
            (key, VERDICTS[key]) for key in VERDICTS if any(verdict(claim) == key for claim in claims)
        ],
        "method": [(said, said) for said in sorted({str(c["method"]) for c in claims if c.get("method")})],
        "agreement": [(said, said) for said in sorted({agreement(claim) for claim in claims} - {""})],
    }
    names = {"agreement": "agrees with the paper"}
    selections = [
        f'<label>{names.get(kind, kind)} <select data-filter="{kind}"><option value="">all</option>'
        + "".join(f'<option value="{escape(key)}">{escape(words)}</option>' for key, words in options)
        + "</select></label>"
        for kind, options in choices.items()
        if options
    ]
    search = '<label>words <input type="search" data-filter="words" autocomplete="off"></label>'
    return (
        f'<form class="claims-filters pst-js-only" aria-label="Filter the claims">{"".join(selections)}{search}'
        f'<output aria-live="polite">{len(claims)} shown</output></form>'
    )


def _chapter(name: str, claims: Sequence[Mapping], chapter: ChapterFacts | None) -> str:
    title = f" {escape(chapter.title)}" if chapter else ""
    hold = sum(verdict(claim) == "holds" for claim in claims)
    count = f"{hold} of {len(claims)} hold" if verdict(claims[0]) != "unclaimed" else f"{len(claims)} tried"
    entries = "".join(map(_entry, claims))
    return (
        f'<details class="claims-chapter" id="chapter-{escape(name[:2])}" data-chapter="{escape(name)}" open>'
        f'<summary><span class="claims-number">{escape(name[:2])}</span>{title}'
        f'<span class="claims-count">{count}</span></summary>'
        f'<p><a href="../notebooks/{escape(name)}.html">Read chapter {escape(name[:2])}</a></p>'
        f"<ul>{entries}</ul></details>"
    )


def _entry(claim: Mapping) -> str:
    kind, key = verdict(claim), escape(claim["id"])
    facts = [("measured here", claim["measured"]), ("rule", claim["rule"]), ("paper", claim["paper"])]
    facts += [("method", claim.get("method")), ("agrees with the paper", agreement(claim))]
    words = "".join(
        f"<div><dt>{name}</dt><dd>{page_text(value)}</dd></div>"
        for name, value in facts
        if value not in (None, "", "–")
    )
    return (
        f'<li id="{key}" class="claim claim-{kind}" data-verdict="{kind}" '
        f'data-method="{escape(str(claim.get("method") or ""))}" data-agreement="{escape(agreement(claim))}">'
        f'<p class="claim-words">{escape(claim["claim"])} <a class="claim-link" href="#{key}" '
        f'aria-label="Link to claim {key}">{key}</a></p>'
        f'<p class="claim-verdict">{VERDICTS[kind]}</p><dl>{words}</dl></li>'
    )
