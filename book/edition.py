"""One line that says which edition of the book a page belongs to."""

import datetime
import tomllib
from collections.abc import Mapping
from html import escape
from pathlib import Path

from chapter_facts import ChapterFacts, days_and_machines


def edition(root: Path, chapters: Mapping[str, ChapterFacts]) -> str:
    """Version, date and machine of the stored outputs; the day of rendering where no run says its date.

    Args:
        root: of the repository.
        chapters: by name.
    """
    version = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    days, machines = days_and_machines(chapters)
    when = f"outputs of {days[-1]}" if days else f"rendered on {datetime.date.today().isoformat()}"
    said = [f"Version {version}", when, *machines, "MIT licence"]
    return f'<p class="edition">{escape(" · ".join(said))}</p>'
