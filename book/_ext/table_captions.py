"""A sentence in emphasis right below a table of the text is its caption: *The four losses.*

Markdown tables have no captions. This way the same words stand below the table in Jupyter and on Colab, and above it,
with a number, in the book.
"""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class TableCaptions(SphinxTransform):
    """Moves such sentences into the tables."""

    default_priority = 195  # before Sphinx gives what is numbered its anchors, at 210

    def apply(self) -> None:
        for table in list(self.document.findall(nodes.table)):
            below = table.next_node(descend=False, siblings=True)
            if _is_emphasis(below):
                table.insert(0, nodes.title(below.astext(), "", *below[0].children))
                table["classes"].append("output-table")
                below.parent.remove(below)


def _is_emphasis(node: nodes.Node | None) -> bool:
    """Whether a node is a paragraph that is in emphasis as a whole."""
    return isinstance(node, nodes.paragraph) and len(node) == 1 and isinstance(node[0], nodes.emphasis)


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the transform."""
    app.add_transform(TableCaptions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
