"""Pictures that a cell shows lie in a box: a light card in the dark theme, and scrolled where the screen is narrow.

Charts are drawn once, on white and for a desk. A phone would shrink the wide ones until nobody can read them; so the
box tells the style sheet how wide a picture was drawn.
"""

from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.images import get_image_size
from sphinx.writers.html5 import HTML5Translator

# Wider ones cannot be read when they are shrunk to the 360 pixels that a phone leaves for the text.
WIDE = 700


class chart_box(nodes.General, nodes.Element):
    """Holds one picture; `width` is the picture's own, in pixels."""


class ChartBoxes(SphinxPostTransform):
    """Puts every picture in a cell's output into a box."""

    default_priority = 100  # after myst-nb has chosen the form of each output
    formats = ("html",)

    def run(self, **kwargs: object) -> None:
        for output in list(self.document.findall(nodes.container)):
            if output.get("nb_element") != "cell_code_output":
                continue
            for image in list(output.findall(nodes.image)):
                size = get_image_size(Path(self.env.srcdir) / image["uri"])
                image.replace_self(chart_box("", image.deepcopy(), width=size[0] if size else 0))


def visit_chart_box(self: HTML5Translator, node: chart_box) -> None:
    """The theme makes its boxes of wide tables reachable by keyboard where they scroll; this is one more of these."""
    wide = " wide" if node["width"] > WIDE else ""
    style = f"--drawn-width: {node['width']}px"
    self.body.append(f'<div class="chart-box{wide} pst-scrollable-table-container" style="{style}">')


def depart_chart_box(self: HTML5Translator, node: chart_box) -> None:
    """Ends what `visit_chart_box` began."""
    self.body.append("</div>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the transform and its node."""
    app.add_node(chart_box, html=(visit_chart_box, depart_chart_box))
    app.add_post_transform(ChartBoxes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
