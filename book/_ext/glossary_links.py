"""The first use of a glossary term on each page is a link to its definition."""

import re
from collections.abc import Iterable, Iterator, Mapping

from docutils import nodes
from prose import inside, replace_parts, runs_of_text
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

# Ordinary English as well: "the answer is no", "they share no image". Only {term}`…` links these.
ORDINARY_WORDS = frozenset({"answer", "level", "share", "transfer", "view"})
# Verbs as well, so that they are linked only behind a word that makes them nouns: "the judge", not "you judge it".
VERBS = frozenset({"judge", "query", "suspect"})
NOUN_MARKERS = frozenset(
    [
        "a",
        "an",
        "another",
        "any",
        "each",
        "every",
        "its",
        "no",
        "of",
        "one",
        "our",
        "such",
        "the",
        "their",
        "this",
        "whose",
    ]
)

# Tables and captions are looked up out of order; what is a use there need not be the first for a reader.
_NOT_READ = (nodes.entry, nodes.caption, nodes.footnote, nodes.citation, addnodes.glossary)
_WORD = re.compile(r"\w+(?:[-–]\w+)*")

Forms = Mapping[tuple[str, ...], str]


class GlossaryLinks(SphinxPostTransform):
    """Links terms in the paragraphs of every page but the glossary."""

    default_priority = 150  # after references are resolved, before cells are folded

    def run(self, **kwargs: object) -> None:
        entries = self.env.get_domain("std").objects.items()
        places = {name: place for (kind, name), place in entries if kind == "term"}
        if self.env.docname in {page for page, _ in places.values()}:
            return
        linked = {reference.astext().lower() for reference in self.document.findall(nodes.reference)}
        waiting = {name for name in places if name.lower() not in ORDINARY_WORDS | linked}
        forms = forms_of(waiting)
        for paragraph in list(self.document.findall(nodes.paragraph)):
            if inside(paragraph, _NOT_READ):
                continue
            for text in list(runs_of_text(paragraph)):
                parts = []
                for name, start, end in uses(text, forms):
                    if name in waiting:
                        waiting.remove(name)
                        words = nodes.inline("", text[start:end], classes=["glossary-term"])
                        link = make_refnode(self.app.builder, self.env.docname, *places[name], words)
                        parts.append((start, end, link))
                if parts:
                    replace_parts(text, parts)


def forms_of(names: Iterable[str]) -> dict[tuple[str, ...], str]:
    """How terms are written in running text, as words: the term by its singular and by its plural.

    In small letters where the term is, which then stand for any case; as it is where it is an abbreviation or a name.
    """
    found = {}
    for name in names:
        *before, last = _WORD.findall(name)
        plurals = (last + "s", last + "es", re.sub("y$", "ies", last))
        for form in (last, *plurals):
            found[*before, form] = name
    return found


def uses(text: str, forms: Forms) -> Iterator[tuple[str, int, int]]:
    """Terms in a text, the longest where several begin at one word: name, start and end of each use."""
    words = list(_WORD.finditer(text))
    longest = max(map(len, forms), default=0)
    place = 0
    while place < len(words):
        for length in range(min(longest, len(words) - place), 0, -1):
            run = words[place : place + length]
            start, end = run[0].start(), run[-1].end()
            form = tuple(word[0] for word in run)
            name = forms.get(form) or forms.get(tuple(word.lower() for word in form))
            before = words[place - 1][0].lower() if place else ""
            verb = name in VERBS and before not in NOUN_MARKERS
            if name and not verb and not re.search(r"[^\w\s'’–-]", text[start:end]):
                yield name, start, end
                place += length
                break
        else:
            place += 1


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the transform."""
    app.add_post_transform(GlossaryLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
