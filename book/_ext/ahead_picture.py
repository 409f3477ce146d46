"""Every chapter shows beside its title a picture of what it will find, which leads to where that stands.

It is the first picture whose output is not hidden under a prediction, or the one of the cell that is tagged `ahead`.
"""

from chapter_numbers import chapter_number
from chart_boxes import chart_box
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator


class ahead_picture(nodes.General, nodes.Element):
    """Holds one picture; `figure` is its anchor, `number` what the figure is called."""


class AheadPictures(SphinxPostTransform):
    """Puts a small copy of one picture behind the title of a chapter."""

    default_priority = 150  # after the boxes, at 100, and before outputs are folded away, at 199
    formats = ("html",)

    def run(self, **kwargs: object) -> None:
        docname = self.env.docname
        figure = self._chosen() if chapter_number(docname) else None
        if figure is None:
            return
        anchor = figure["ids"][0]
        number = self.env.toc_fignumbers.get(docname, {}).get("figure", {}).get(anchor, ())
        image = next(figure.findall(nodes.image)).deepcopy()
        title = next(self.document.findall(nodes.title))
        ahead = ahead_picture("", image, figure=anchor, number=".".join(map(str, number)))
        title.parent.insert(title.parent.index(title) + 1, ahead)

    def _chosen(self) -> nodes.figure | None:
        """The figure whose picture is shown ahead."""
        first = None
        for cell in self.document.findall(nodes.container):
            tags = cell.get("classes", ())
            if cell.get("nb_element") != "cell_code" or not any(cell.findall(chart_box)):
                continue
            figure = next((one for one in cell.findall(nodes.figure) if one["ids"]), None)
            if figure is not None and "tag_ahead" in tags:
                return figure
            if first is None and "tag_hide-output" not in tags:
                first = figure
        return first


def visit_ahead_picture(self: HTML5Translator, node: ahead_picture) -> None:
    """A link around picture and words."""
    self.body.append(f'<a class="ahead-picture" href="#{node["figure"]}">')


def depart_ahead_picture(self: HTML5Translator, node: ahead_picture) -> None:
    """Ends what `visit_ahead_picture` began."""
    self.body.append(f"<span>Figure {node['number']}, further down</span></a>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the transform and its node."""
    app.add_node(ahead_picture, html=(visit_ahead_picture, depart_ahead_picture))
    app.add_post_transform(AheadPictures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
