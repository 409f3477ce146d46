"""The rooms of the package and what may import what, drawn from the contract in pyproject.toml.

`.venv/bin/python book/rooms.py` writes the picture, and the list of rooms in README.md; each line there is the first
sentence of the room's own docstring.
"""

import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "book" / "_static" / "rooms.svg"
README = ROOT / "README.md"
LIST = re.compile(r"(?<=<!-- rooms -->\n).*?(?=<!-- end of rooms -->)", re.S)
PROGRAMS = ("teaching", "cli", "arena", "serving")  # on top of the core

WIDTH, LEFT, RIGHT = 360, 40, 354
TALL, STEP, GAP = 30, 44, 8
LETTER = 7.6  # a letter's width in the names
STYLE = """\
.rooms-core{fill:#d3e8f6}.rooms-program{fill:#e9ecef}.rooms-name{fill:#1b1f24;font:600 12.5px ui-monospace,Menlo,\
Consolas,"DejaVu Sans Mono",monospace}.rooms-part{fill:#6e7781;font:13px system-ui,sans-serif}
.rooms-line{fill:none;stroke:#7d8590;stroke-width:2;stroke-linecap:round;stroke-linejoin:round}
@media (prefers-color-scheme:dark){.rooms-core{fill:#123a56}.rooms-program{fill:#2b3138}.rooms-name{fill:#e6edf3}\
.rooms-part{fill:#8b949e}}"""


def layers(project: Path = ROOT / "pyproject.toml") -> list[list[str]]:
    """The names of the rooms, the highest layer first."""
    linter = tomllib.loads(project.read_text(encoding="utf-8"))["tool"]["importlinter"]
    return [layer.split(" | ") for layer in linter["contracts"][0]["layers"]]


def picture(rooms: list[list[str]]) -> str:
    """One SVG for light and dark: a row a layer, and every room may import what lies below its row."""
    middle = (LEFT + RIGHT) / 2
    shapes = []
    for row, names in enumerate(rooms):
        top = 4 + row * STEP
        padding = (RIGHT - LEFT + GAP - sum(LETTER * len(name) + GAP for name in names)) / len(names)
        left = LEFT
        for name in names:
            wide = LETTER * len(name) + padding
            kind = "program" if name in PROGRAMS else "core"
            shapes += [
                f'<rect class="rooms-{kind}" x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{TALL}" rx="6"/>',
                f'<text class="rooms-name" x="{left + wide / 2:.1f}" y="{top + 19}" text-anchor="middle">{name}</text>',
            ]
            left += wide + GAP
        if row:
            shapes.append(f'<path class="rooms-line" d="M{middle - 5:g} {top - 10}l5 5l5 -5"/>')
    programs = sum(names[0] in PROGRAMS for names in rooms)
    for part, first, last in (("programs", 0, programs), ("the core", programs, len(rooms))):
        top, bottom = 6 + first * STEP, 2 + (last - 1) * STEP + TALL
        shapes += [
            f'<path class="rooms-line" d="M32 {top}h-6V{bottom}h6"/>',
            f'<text class="rooms-part" transform="translate(17 {(top + bottom) // 2}) rotate(-90)" '
            f'text-anchor="middle">{part}</text>',
        ]
    tall = 4 + len(rooms) * STEP - (STEP - TALL) + 4
    story = "; ".join(", ".join(names) for names in rooms)
    head = (
        f'<svg class="rooms-picture" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {tall}" width="{WIDTH}" '
        f'height="{tall}" role="img" aria-labelledby="rooms-title rooms-story">'
    )
    return "\n".join(
        [
            head,
            '<title id="rooms-title">The rooms of mea_lib</title>',
            f'<desc id="rooms-story">A room may import those in the rows below its own. From the top: {story}.</desc>',
            f"<style>{STYLE}</style>",
            *shapes,
            "</svg>\n",
        ]
    )


def room_list(rooms: list[list[str]], package: Path = ROOT / "mea_lib") -> str:
    """A list in Markdown, from the ground up: what each room holds, as its docstring begins."""
    lines = []
    for name in (name for names in reversed(rooms) for name in names):
        file = package / name / "__init__.py"
        file = file if file.exists() else package / f"{name}.py"
        said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
        first = re.split(r"(?<=\.)\s", said, maxsplit=1)[0]
        lines.append(f"- **`{name}`** {' '.join(first.split())}\n")
    return "".join(lines)


if __name__ == "__main__":
    PICTURE.write_text(picture(layers()), encoding="utf-8")
    written = LIST.sub(lambda _: room_list(layers()), README.read_text(encoding="utf-8"))
    README.write_text(written, encoding="utf-8")
