"""A cell's caption is its picture's: a sentence that the cell shows beside it is no figure.

myst-nb makes a figure of every output of a cell whose metadata have a caption, `{"mystnb": {"figure": …}}`.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class FigureCaptions(SphinxTransform):
    """Takes the figure away around outputs that are no pictures."""

    default_priority = 190  # before Sphinx gives what is numbered its anchors, at 210

    def apply(self) -> None:
        for figure in list(self.document.findall(nodes.figure)):
            if not any(figure.findall(nodes.image)):
                shown = [n for n in figure.children if not isinstance(n, nodes.caption | nodes.legend)]
                figure.parent.replace(figure, shown)


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the transform."""
    app.add_transform(FigureCaptions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
