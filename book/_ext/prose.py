"""The running text of a page: what may be turned into links, piece by piece."""

from collections.abc import Iterator

from docutils import nodes
from sphinx import addnodes

# In these a link would be wrong (code, formulas, other links) or get in the way (headings).
_NO_LINK = (
    nodes.FixedTextElement,
    nodes.Invisible,
    nodes.image,
    nodes.literal,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.reference,
    nodes.rubric,
    nodes.subtitle,
    nodes.target,
    nodes.title,
    addnodes.number_reference,
    addnodes.pending_xref,
    addnodes.toctree,
)


def runs_of_text(node: nodes.Element, skip: tuple[type[nodes.Node], ...] = ()) -> Iterator[nodes.Text]:
    """Pieces of text below `node` in reading order, outside code, formulas, links and headings.

    A piece goes as far as one style does: the parser cuts at the end of a line, and what it cut is joined again.

    Args:
        node: the element that is searched; pieces may be replaced while this runs.
        skip: further elements that are left out.
    """
    children = list(node.children)
    while children:
        child = children.pop(0)
        if not isinstance(child, nodes.Text):
            if not isinstance(child, _NO_LINK + skip):
                yield from runs_of_text(child, skip)
            continue
        text = child
        while children and isinstance(children[0], nodes.Text):
            follower = children.pop(0)
            joined = nodes.Text(text + follower)
            node.remove(follower)
            node.replace(text, joined)
            text = joined
        yield text


def replace_parts(text: nodes.Text, parts: list[tuple[int, int, nodes.Node]]) -> None:
    """Put nodes in the place of parts of a text.

    Args:
        text: in a document.
        parts: start, end and what takes their place, in order and without overlap.
    """
    pieces, last = [], 0
    for start, end, node in parts:
        if start > last:
            pieces.append(nodes.Text(text[last:start]))
        pieces.append(node)
        last = end
    if last < len(text):
        pieces.append(nodes.Text(text[last:]))
    text.parent.replace(text, pieces)


def inside(node: nodes.Node, kinds: tuple[type[nodes.Node], ...]) -> bool:
    """Whether a node, or one around it, is of one of these kinds."""
    while node is not None:
        if isinstance(node, kinds):
            return True
        node = node.parent
    return False
