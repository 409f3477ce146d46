"""How folded parts of a cell lie on the page, and what they are called: "Show the code", "Show the output".

Cells are tagged in their metadata: `hide-input` where the code is imports, plumbing, a table or a plot, and
`hide-output` where the reader has been asked to predict what comes. myst-nb folds them. Here neighbours that show
nothing become one fold, the code of a table or a picture goes below it, and the folds get words.
"""

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator


class FoldedCells(SphinxPostTransform):
    """Joins folds, moves them below what they make, and marks them by what they hold."""

    default_priority = 200  # after myst-nb's own folding, at 199
    formats = ("html",)

    def run(self, **kwargs: object) -> None:
        cells = [n for n in self.document.findall(nodes.container) if n.get("nb_element") == "cell_code"]
        for fold in self.document.findall(HideCodeCellNode):
            fold["what"] = "code" if fold[0].get("nb_element") == "cell_code_source" else "output"
        alone = None  # the last cell, if it is nothing but a fold
        for cell in cells:
            follows = alone is not None and alone.next_node(descend=False, siblings=True) is cell
            if not isinstance(cell[0], HideCodeCellNode):
                alone = None
            elif len(cell) > 1:
                alone = None
                if not isinstance(cell[1], HideCodeCellNode):
                    cell.children.reverse()
            elif follows:
                alone[0].extend(cell[0].children)
                cell.parent.remove(cell)
            else:
                alone = cell


def visit_fold(self: HTML5Translator, node: HideCodeCellNode) -> None:
    """As myst-nb writes it, but read aloud by its words: myst-nb calls every fold "Toggle hidden content"."""
    classes = " ".join(["admonition", "hide", *node["classes"]])
    words = "".join(
        f'<p class="{state} admonition-title">{verb} the {node["what"]}</p>'
        for state, verb in (("collapsed", "Show"), ("expanded", "Hide"))
    )
    self.body.append(f'<details class="{classes}"><summary>{words}</summary>\n')


def depart_fold(self: HTML5Translator, node: HideCodeCellNode) -> None:
    """Ends what `visit_fold` began."""
    self.body.append("</details>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the transform, and the words in the place of myst-nb's."""
    app.setup_extension("myst_nb")
    app.add_node(HideCodeCellNode, override=True, html=(visit_fold, depart_fold))
    app.add_post_transform(FoldedCells)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
