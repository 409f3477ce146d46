"""A number stays with its interval and its unit: "0.866 [0.843, 0.887]", "0.84 ± 0.02", "0.61–0.68", "30 %"."""

import re

from docutils import nodes
from prose import replace_parts, runs_of_text
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

_N = r"[-+−]?\d+(?:[.,]\d+)*(?:\s?%)?"
_INTERVAL = re.compile(
    rf"(?<![\w.])(?:(?:{_N}\s)?\[{_N},\s{_N}\]|{_N}\s?±\s?{_N}(?:\s\({_N}\))?|{_N}–{_N}(?!\w)|\d+(?:[.,]\d+)*\s%)"
)


class UnbrokenIntervals(SphinxTransform):
    """Marks them in running text and tables with the class `unbroken`."""

    default_priority = 600  # after tables of outputs are built

    def apply(self) -> None:
        for text in list(runs_of_text(self.document)):
            parts = [
                (*found.span(), nodes.inline("", found[0], classes=["unbroken"]))
                for found in _INTERVAL.finditer(text)
            ]
            if parts:
                replace_parts(text, parts)


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the transform."""
    app.add_transform(UnbrokenIntervals)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
