"""Stage the book's pages beside the chapters, and render them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import nbformat
from files import one_at_a_time
from nbformat import NotebookNode
from publishing.address import Address
from publishing.stamps import stamp_stage


def render(
    root: Path,
    out: Path,
    claims: Sequence[Mapping],
    chapters: Mapping[str, NotebookNode],
    address: Address | None = None,
) -> Path | None:
    """Render the site from a staged copy; the path of its first page, or None when it has errors.

    One process at a time renders into `out`; the pages there are replaced when the new ones are complete.

    Args:
        root: of the repository.
        out: folder for all that is made.
        claims: for the page that lists them.
        chapters: with their outputs, by the name of their file without ending.
        address: of the published book; without one nothing on the pages names any.
    """
    html = out / "html"
    with one_at_a_time(out / "locks" / "site.lock", "site: another process renders it, waiting"):
        for left in [*out.glob("rendering.*"), *out.glob(f"{html.name}.*")]:
            shutil.rmtree(left, ignore_errors=True)  # by a process that is gone, since the lock is ours
        rendering = out / f"rendering.{os.getpid()}"
        stage = stage_pages(root, rendering / "stage", claims, chapters, address)
        command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(stage)]
        command += ["--config", str(stage / "_config.yml"), "--toc", str(stage / "book" / "_toc.yml")]
        command += ["--path-output", str(rendering / "site"), "-W", "-q"]
        finished = subprocess.run(command, capture_output=True, text=True, check=False)
        if finished.returncode:
            print(finished.stdout[-3000:], finished.stderr[-3000:], sep="\n", file=sys.stderr)
            print("the site has errors or warnings, shown above", file=sys.stderr)
            return None
        _replace_folder(html, rendering / "site" / "_build" / "html")
        shutil.rmtree(rendering, ignore_errors=True)
    return html / "index.html"


def stage_pages(
    root: Path,
    stage: Path,
    claims: Sequence[Mapping],
    chapters: Mapping[str, NotebookNode],
    address: Address | None = None,
) -> Path:
    """Copy pages, chapters and configuration into the new folder `stage`: the working tree stays clean."""
    shutil.copytree(
        root / "book",
        stage / "book",
        ignore=shutil.ignore_patterns("_ext", "publishing", "*.py", "*.sh", "__pycache__"),
    )
    shutil.copytree(
        root / "book" / "_ext", stage / "book" / "_ext", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(root / "_config.yml", stage)
    (stage / "notebooks").mkdir()
    for name, chapter in chapters.items():
        nbformat.write(chapter, stage / "notebooks" / f"{name}.ipynb")
    page = stage / "book" / "claims.md"
    page.write_text(page.read_text().replace("<!-- claims -->", claims_table(claims)))
    if address:
        stamp_stage(stage, address)
    return stage


def claims_table(claims: Sequence[Mapping]) -> str:
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


def _replace_folder(folder: Path, new: Path) -> None:
    """Move `new` to `folder`: what stands there is whole at every moment, the older one or the new."""
    old = folder.with_name(f"{folder.name}.{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
