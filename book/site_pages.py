"""Stage the book's pages beside the executed chapters, and render them."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from html import escape
from pathlib import Path


def render(root: Path, out: Path, claims: Sequence[dict], chapters: Sequence[str]) -> Path | None:
    """Render the site from a staged copy; the path of its first page, or None when it has errors."""
    stage = stage_pages(root, out, claims, chapters)
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(stage)]
    command += ["--config", str(stage / "_config.yml"), "--toc", str(stage / "book" / "_toc.yml")]
    command += ["--path-output", str(out / "site"), "-W", "-q"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        print(finished.stdout[-3000:], finished.stderr[-3000:], sep="\n", file=sys.stderr)
        print("the site has errors or warnings, shown above", file=sys.stderr)
        return None
    html = out / "html"
    shutil.rmtree(html, ignore_errors=True)
    shutil.copytree(out / "site" / "_build" / "html", html)
    return html / "index.html"


def stage_pages(root: Path, out: Path, claims: Sequence[dict], chapters: Sequence[str]) -> Path:
    """Copy pages, executed chapters and configuration into one folder, so that the working tree stays clean."""
    stage = out / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    shutil.copytree(
        root / "book", stage / "book", ignore=shutil.ignore_patterns("*.py", "*.sh", "__pycache__")
    )
    shutil.copy(root / "_config.yml", stage)
    (stage / "notebooks").mkdir()
    for chapter in chapters:
        shutil.copy(out / "notebooks" / f"{chapter}.ipynb", stage / "notebooks")
    page = stage / "book" / "claims.md"
    page.write_text(page.read_text().replace("<!-- claims -->", claims_table(claims)))
    return stage


def claims_table(claims: Sequence[dict]) -> str:
    """All claims as one HTML table, grouped by chapter."""
    if not claims:
        return "No chapter has been run yet, so nothing is claimed."
    rows = []
    for claim in claims:
        verdict = "✓ holds" if claim["holds"] else "✗ does not hold"
        if claim["scale"] == "smoke":
            verdict = "not claimed"
        link = f'<a href="../notebooks/{claim["chapter"]}.html">{claim["chapter"][:2]}</a>'
        words = [f"<td>{escape(claim[name])}</td>" for name in ("claim", "paper", "measured")]
        short = [f'<td style="white-space:nowrap">{cell}</td>' for cell in (escape(claim["rule"]), verdict)]
        rows.append(f"<tr><td>{link}</td>{''.join(words + short)}</tr>")
    names = ("chapter", "claim", "paper", "measured here", "rule", "verdict")
    head = "".join(f"<th>{name}</th>" for name in names)
    table = f'<table class="table" style="font-size:0.9em"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    scales = ", ".join(sorted({claim["scale"] for claim in claims}))
    note = " Nothing is claimed at smoke scale." if "smoke" in scales else ""
    return f'Scale of this run: **{scales}**.{note}\n\n<div style="overflow-x:auto">{table}</div>'
