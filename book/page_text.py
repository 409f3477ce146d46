"""Words and numbers as they stand on a page: what belongs together stays on one line, and a minus is no hyphen."""

import re
from html import escape

_HYPHEN_OF_NUMBER = re.compile(r"(?<![\w.])-(?=\.?\d)")
_FILE = re.compile(r"\w+/[\w./]+")


def page_text(text: object) -> str:
    """As HTML: a number keeps its % and has a minus, a file's name may break behind its parts."""
    shown = _HYPHEN_OF_NUMBER.sub("−", escape(str(text))).replace(" %", "\u00a0%")
    return _FILE.sub(lambda found: re.sub(r"(?<=[/_])", "<wbr>", found[0]), shown)
