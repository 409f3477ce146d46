"""Stage the book's pages beside the chapters, and render them."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import nbformat
import yaml
from chapter_cards import chapter_cards
from chapter_facts import facts
from claims_page import claims_list
from edition import edition
from execution_page import execution_list
from files import one_at_a_time
from finish_site import finish_site
from hammer_table import hammer_table
from hero import hero
from licences_page import licences_list
from nbformat import NotebookNode
from publishing.address import Address
from publishing.stamps import stamp_configuration, stamp_notebook
from reproduced_page import reproduced_list
from rooms import layers, room_list
from teaching_costs import fill_costs


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
        site = build_pages(stage, rendering / "site", "-W", address=address)
        if site is None:
            return None
        _replace_folder(html, site)
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
        ignore=shutil.ignore_patterns(
            "_ext", "publishing", "*.py", "*.sh", "*.json", "reproduced.yaml", "__pycache__"
        ),
    )
    shutil.copytree(
        root / "book" / "_ext", stage / "book" / "_ext", ignore=shutil.ignore_patterns("__pycache__")
    )
    (stage / "notebooks").mkdir()
    for name, chapter in chapters.items():
        staged = stamp_notebook(chapter, address) if address else chapter
        nbformat.write(staged, stage / "notebooks" / f"{name}.ipynb")
    told = {name: facts(name, chapter) for name, chapter in chapters.items()}
    toc = yaml.safe_load((stage / "book" / "_toc.yml").read_text(encoding="utf-8"))
    _fill(stage / "book" / "index.md", "hero", _raw(hero(stage / "book" / "_static")))
    _fill(stage / "book" / "index.md", "chapters", _raw(chapter_cards(toc, told)))
    _fill(stage / "book" / "claims.md", "claims", _raw(claims_list(claims, told)))
    items = yaml.safe_load((root / "book" / "reproduced.yaml").read_text(encoding="utf-8"))
    _fill(stage / "book" / "reproduced.md", "reproduced", _raw(reproduced_list(items, claims)))
    _fill(stage / "book" / "execution.md", "execution", _raw(execution_list(told)))
    licences = json.loads((root / "book" / "licences.json").read_text(encoding="utf-8"))
    _fill(stage / "book" / "licences.md", "licences", _raw(licences_list(licences)))
    _fill(stage / "book" / "trust.md", "hammer", _raw(hammer_table(root / "results" / "hammer.json")))
    _fill(stage / "book" / "package.md", "rooms", room_list(layers()))
    for page in (stage / "book").glob("*.md"):
        text = page.read_text(encoding="utf-8")
        page.write_text(fill_costs(text, chapters), encoding="utf-8")
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    config["sphinx"]["config"]["html_theme_options"]["extra_footer"] = edition(root, told)
    if address:
        config = stamp_configuration(config, address)
    written = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    (stage / "_config.yml").write_text(written, encoding="utf-8")
    return stage


def build_pages(stage: Path, out: Path, *options: str, address: Address | None = None) -> Path | None:
    """Render what is staged and finish the pages; their folder in `out`, or None, and it is said, with errors.

    Args:
        stage: made by `stage_pages`.
        out: a new folder.
        options: more of Jupyter Book's, such as `-W`, for which a warning is an error.
        address: of the published book, if there is one.
    """
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", str(stage)]
    command += ["--config", str(stage / "_config.yml"), "--toc", str(stage / "book" / "_toc.yml")]
    command += ["--path-output", str(out), "-q", *options]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    if finished.returncode:
        print(finished.stdout[-3000:], finished.stderr[-3000:], sep="\n", file=sys.stderr)
        print("the site has errors or warnings, shown above", file=sys.stderr)
        return None
    site = out / "_build" / "html"
    finish_site(site, f"{address.site}/" if address and address.site else "")
    return site


def _fill(page: Path, place: str, text: str) -> None:
    """Put `text` where the page has a comment with the name of the place."""
    page.write_text(page.read_text(encoding="utf-8").replace(f"<!-- {place} -->", text), encoding="utf-8")


def _raw(html: str) -> str:
    """HTML as a page in Markdown takes it unchanged."""
    return f"```{{raw}} html\n{html}\n```"


def _replace_folder(folder: Path, new: Path) -> None:
    """Move `new` to `folder`: what stands there is whole at every moment, the older one or the new."""
    old = folder.with_name(f"{folder.name}.{os.getpid()}")
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
