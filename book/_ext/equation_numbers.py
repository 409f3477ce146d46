"""Formulas that stand by themselves in a chapter are numbered by chapter, unless the text has given them a mark.

Sphinx numbers formulas that have a label. A label of the author's, `$$ … $$ (name)`, is for those that are referred
to; the others get one here. A formula that ends in a mark of its own, such as `\\qquad (4)`, the number it has in a
paper, keeps that alone.
"""

import re

from chapter_numbers import chapter_number
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

_OWN_MARK = re.compile(r"\\tag\b|\\qquad\s*\([^()]*\)\s*$")


class EquationNumbers(SphinxTransform):
    """Labels formulas in the sections of chapters; those in exercises, solutions and notes stay as they are."""

    default_priority = 200  # before Sphinx collects what is numbered

    def apply(self) -> None:
        if chapter_number(self.env.docname) is None:
            return
        domain = self.env.get_domain("math")
        for place, formula in enumerate(list(self.document.findall(nodes.math_block))):
            in_text = isinstance(formula.parent, nodes.section)
            if formula.get("label") or not in_text or _OWN_MARK.search(formula.astext()):
                continue
            label = f"{self.env.docname}-{place}"
            formula["label"], formula["docname"] = label, self.env.docname
            formula["ids"].append(nodes.make_id(f"equation-{label}"))
            domain.note_equation(self.env.docname, label, location=formula)
            formula["number"] = domain.get_equation_number_for(label)


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the transform."""
    app.add_transform(EquationNumbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
