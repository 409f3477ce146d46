"""What the book's own Sphinx extensions make of small pages."""

import io

import nbformat
import pytest
from bs4 import BeautifulSoup
from chapter_numbers import chapters
from glossary_links import forms_of, uses
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from output_tables import caption_of
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

EXTENSIONS = (
    *("chapter_numbers", "chapter_links", "glossary_links", "figure_captions", "output_tables"),
    *("equation_numbers", "unbroken_intervals", "chart_boxes", "ahead_picture", "folded_cells"),
    *("table_captions", "citation_lists"),
)
GLOSSARY = """# Glossary

```{glossary}
adversary
  Whoever extracts.

API
  Images in, answers out.

combined image
  One image of two.

judge
  Who decides.

query
  One image that is sent.

share
  A part.
```
"""
# One pixel, white.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8/5+hHgAHggJ/PchI7wAAAABJRU5ErkJggg=="


class Page:
    """What tests ask about a rendered page."""

    def __init__(self, html: str) -> None:
        self.body = BeautifulSoup(html, "html.parser").find(class_="body")
        for sign in self.body.find_all(class_="headerlink"):
            sign.decompose()

    @property
    def links(self) -> list[tuple[str, str]]:
        """Words and address of every link."""
        return [(words(link), link["href"]) for link in self.body.find_all("a")]

    def all(self, selector: str) -> list[str]:
        """Words of what a CSS selector finds."""
        return [words(found) for found in self.body.select(selector)]


def words(element) -> str:
    return " ".join(element.get_text().split())


@pytest.fixture
def render(tmp_path):
    """Renders pages, Markdown or notebooks, by name; gives a reader of each and what Sphinx complained of."""

    def build(**pages):
        source = tmp_path / "source"
        source.mkdir()
        (source / "conf.py").write_text(
            f"extensions = {['myst_nb', *EXTENSIONS]!r}\nhtml_theme = 'basic'\nnumfig = True\n"
            "nb_execution_mode = 'off'\nhtml_secnumber_suffix = ' '\nhtml_use_index = html_use_search = False\n"
            "myst_enable_extensions = ['dollarmath']\nnumfig_format = {'figure': 'Figure %s'}\n"
        )
        toc = "# The book\n\n```{toctree}\n" + "\n".join(pages) + "\n```\n"
        for name, page in ({"index": toc} | pages).items():
            if isinstance(page, str):
                (source / f"{name}.md").write_text(page)
            else:
                nbformat.write(page, source / f"{name}.ipynb")
        complaints = io.StringIO()
        out = tmp_path / "out"
        with docutils_namespace():  # or the next one would complain that its nodes are known
            Sphinx(source, source, out, tmp_path / "trees", "html", status=None, warning=complaints).build()
        found = {name: Page((out / f"{name}.html").read_text()) for name in ("index", *pages)}
        return found, complaints.getvalue()

    return build


def cell(output=None, *, tags=(), more=None, **metadata):
    """A code cell that shows `output`, a bundle of forms, and then `more`."""
    metadata = ({"tags": list(tags)} if tags else {}) | metadata
    outputs = [new_output("display_data", bundle) for bundle in (output, more) if bundle]
    return new_code_cell("method()", metadata=metadata, outputs=outputs)


def chapter(*cells):
    metadata = {
        "kernelspec": {"name": "python3", "display_name": "Python"},
        "language_info": {"name": "python"},
    }
    cells = [new_markdown_cell(one) if isinstance(one, str) else one for one in cells]
    return new_notebook(cells=cells, metadata=metadata)


def table(*, title=""):
    caption = f"<caption>{title}</caption>" if title else ""
    head, row = "<th>model</th><th>WSR</th>", "<td>a &lt; b</td><td>0.866 [0.843, 0.887]</td>"
    inner = f"{caption}<thead><tr>{head}</tr></thead><tbody><tr>{row}</tr></tbody>"
    return {
        "text/plain": "as text",
        "text/html": f'<div style="overflow-x:auto"><table>{inner}</table></div>',
    }


def test_chapters_have_the_numbers_of_their_files(render):
    picture = {"image/png": PNG, "text/plain": "<Figure>"}
    figure = {"mystnb": {"figure": {"caption": "What is shown.", "name": "fig-a"}}}
    pages, complaints = render(
        **{
            "03_first": chapter("# One\n\n## A section\n\nSee {numref}`fig-a`.", cell(picture, **figure)),
            "07_second": chapter(
                "# Two\n\n$$a = b$$\n\n$$c = d \\qquad (4)$$", cell(table(), table={"caption": "Rates"})
            ),
            "setup": "# No chapter",
        }
    )
    assert not complaints
    first, second = pages["03_first"], pages["07_second"]
    assert first.all("h1") == ["03 One"]
    assert first.all("h2") == ["A section"]
    assert pages["index"].links[:2] == [("03 One", "03_first.html"), ("A section", "03_first.html#a-section")]
    assert first.all(".caption-number") == ["Figure 3.1"]
    assert ("Figure 3.1", "#fig-a") in first.links
    assert second.all(".caption-number") == ["Table 7.1"]
    assert second.all(".eqno") == ["(7.1)"]
    assert pages["setup"].all("h1") == ["No chapter"]


def test_a_chapter_shows_ahead_what_is_no_answer_to_a_prediction(render):
    def shown(name, *tags):
        figure = {"mystnb": {"figure": {"caption": "What is shown.", "name": name}}}
        return cell({"image/png": PNG, "text/plain": "<Figure>"}, tags=tags, **figure)

    pages, complaints = render(
        **{
            "01_hidden": chapter("# A", shown("fig-a", "hide-output"), shown("fig-b"), shown("fig-c")),
            "02_chosen": chapter("# B", shown("fig-d"), shown("fig-e", "hide-output", "ahead")),
            "03_none": chapter("# C", shown("fig-f", "hide-output")),
            "page": chapter("# D", shown("fig-g")),
        }
    )
    assert not complaints
    ahead = {
        name: [link for link in pages[name].links if "further down" in link[0]]
        for name in pages
        if name != "index"
    }
    assert ahead == {
        "01_hidden": [("Figure 1.2, further down", "#fig-b")],
        "02_chosen": [("Figure 2.2, further down", "#fig-e")],
        "03_none": [],
        "page": [],
    }


def test_two_chapters_of_one_number_are_refused():
    assert chapters(["notebooks/07_a", "book/index", "notebooks/00_b"]) == {
        "00": "notebooks/00_b",
        "07": "notebooks/07_a",
    }
    with pytest.raises(ValueError, match="both chapter 07"):
        chapters(["notebooks/07_a", "notebooks/07_b"])


def test_mentions_of_chapters_are_links(render):
    text = """# Mentions of chapter 03

Chapter 07 and **chapter
03**; chapters 00 to 03, 07 and 03. In `chapter 03` and [chapter 03](other) nothing changes. See chapter 035.
"""
    pages, complaints = render(
        **{f"{number}_chapter": f"# {number}\n\nHere is chapter {number}." for number in ("00", "03", "07")},
        setup=text,
        other="# Another page",
    )
    assert not complaints
    assert pages["setup"].links == [
        ("Chapter 07", "07_chapter.html"),
        ("chapter 03", "03_chapter.html"),
        ("chapters 00", "00_chapter.html"),
        ("03", "03_chapter.html"),
        ("07", "07_chapter.html"),
        ("03", "03_chapter.html"),
        ("chapter 03", "other.html"),
    ]
    assert pages["03_chapter"].links == []  # it is the chapter itself


def test_numbers_in_a_column_of_chapters_are_links(render):
    text = "# A plan\n\n| session | chapter | at home |\n|---|---|---|\n| 03 | 03, 07 | exercises of 03 |\n"
    pages, complaints = render(**{f"{number}_chapter": f"# {number}" for number in ("03", "07")}, plan=text)
    assert not complaints
    assert pages["plan"].links == [("03", "03_chapter.html"), ("07", "07_chapter.html")]


def test_a_chapter_that_does_not_exist_is_a_warning(render):
    _, complaints = render(page="# A page\n\nAs chapter 42 says.")
    assert "there is no chapter 42" in complaints


def test_the_first_use_of_a_term_is_a_link(render):
    text = """# The adversary

| adversary | API |
|---|---|
| adversary | API |

An `adversary`, and *adversaries* everywhere: one adversary more. They query the apis, an API's answer, and share.
Combined
images go to whom? You judge it, says the judge.
"""
    pages, complaints = render(page=text, glossary=GLOSSARY)
    assert not complaints
    assert pages["page"].links == [
        ("adversaries", "glossary.html#term-adversary"),
        ("API", "glossary.html#term-API"),
        ("Combined images", "glossary.html#term-combined-image"),
        ("judge", "glossary.html#term-judge"),
    ]
    assert pages["glossary"].links == []


def test_the_longest_term_is_taken():
    forms = forms_of(["key", "admissible key", "Clopper–Pearson interval", "p-value"])
    text = "An admissible key, keys; a key-value pair, p-values of Clopper–Pearson intervals."
    assert [text[start:end] for _, start, end in uses(text, forms)] == [
        *("admissible key", "keys", "p-values", "Clopper–Pearson intervals")
    ]
    assert list(uses("admissible. Key", forms_of(["admissible key"]))) == []


def test_tables_of_cells_are_tables_of_the_book(render):
    shown = table(title="mean over seeds")
    pages, complaints = render(
        **{
            "05_a": chapter(
                "# A\n\n{numref}`tab-a`", cell(shown, table={"caption": "Rates.", "name": "tab-a"})
            )
        }
    )
    assert not complaints
    page = pages["05_a"]
    assert ("Table 5.1", "#tab-a") in page.links
    assert page.all(".caption-text") == ["Rates. Mean over seeds."]
    assert page.all("td") == ["a < b", "0.866 [0.843, 0.887]"]
    assert "as text" not in words(page.body)
    assert page.all(".unbroken") == ["0.866 [0.843, 0.887]"]


def test_a_sentence_in_emphasis_below_a_table_is_its_caption(render):
    written = "| a | b |\n|---|---|\n| 1 | 2 |\n\n"
    text = f"# A\n\n{written}*Two letters and $x$.*\n\nMore.\n\n{written}*Not* a caption.\n"
    pages, complaints = render(**{"02_a": chapter(text, cell(table(), table={"caption": "Rates"}))})
    assert not complaints
    assert pages["02_a"].all(".caption-number") == ["Table 2.1", "Table 2.2"]
    assert pages["02_a"].all("caption .caption-text")[0].startswith("Two letters and")
    assert not any("Two letters" in paragraph for paragraph in pages["02_a"].all("p"))
    assert "Not a caption." in pages["02_a"].all("p")


def test_caption_and_title_are_sentences():
    assert caption_of("", "") == ""
    assert caption_of("", "the worst keys") == "The worst keys."
    assert caption_of("Who wins?", "three seeds") == "Who wins? Three seeds."


def test_a_sentence_beside_a_picture_has_no_caption(render):
    figure = {"mystnb": {"figure": {"caption": "What is shown."}, "image": {"alt": "A white dot"}}}
    beside = {"text/markdown": "A sentence.", "text/plain": "…"}
    picture = {"image/png": PNG, "text/plain": "<Figure>"}
    pages, complaints = render(**{"05_a": chapter("# A", cell(beside, more=picture, **figure))})
    assert not complaints
    assert pages["05_a"].all(".caption-number") == ["Figure 5.1"]
    assert words(pages["05_a"].body).count("What is shown.") == 1
    assert len(pages["05_a"].all(".chart-box")) == 1


@pytest.mark.parametrize(
    "text, unbroken",
    [
        ("WSR **0.866 [0.843, 0.887]**, then 0.01 % [0.00 %, 0.02 %].", 2),
        ("0.843 ± 0.016 (0.827) and 0.613–0.678", 2),
        ("from 10 % to 12.5 %, 30 of 40", 2),
        ("Eq. 5–8 stand in [12] and [a, b]", 1),
        ("`0.866 [0.843, 0.887]`", 0),
    ],
)
def test_intervals_are_not_broken(render, text, unbroken):
    pages, _ = render(page=f"# A page\n\n{text}")
    assert len(pages["page"].all(".unbroken")) == unbroken
    said = words(pages["page"].body.find_all("p")[-1])
    assert said == text.translate(str.maketrans("", "", "*`"))


def test_folds_say_what_they_hold(render):
    shown = cell({"text/plain": "7"}, tags=["hide-input", "hide-output"])
    pages, _ = render(**{"05_a": chapter("# A", shown)})
    assert pages["05_a"].all(".collapsed") == ["Show the code", "Show the output"]
    assert pages["05_a"].all(".expanded") == ["Hide the code", "Hide the output"]
    assert pages["05_a"].body.find("summary").get("aria-label") is None  # its words are its name


def test_folded_cells_that_show_nothing_are_one_fold(render):
    one, two, three, four = (cell(tags=["hide-input"]) for _ in range(4))
    pages, _ = render(**{"05_a": chapter("# A", one, two, cell(), three, "Text.", four)})
    assert [len(fold.select(".cell_input")) for fold in pages["05_a"].body.select("details")] == [2, 1, 1]
    assert len(pages["05_a"].body.select(".cell_input")) == 5


def test_folded_code_stands_below_what_it_shows(render):
    pages, _ = render(**{"05_a": chapter("# A", cell({"text/plain": "7"}, tags=["hide-input"]))})
    output, fold = pages["05_a"].body.select(".cell > *")
    assert "cell_output" in output["class"]
    assert words(fold.summary).startswith("Show the code")


def test_references_are_items_of_one_list(render):
    pages, _ = render(page="# A page\n\n```{eval-rst}\n.. [A] One.\n.. [B] Two.\n```\n\nText.")
    assert len(pages["page"].body.select("[role=list] > [role=listitem]")) == 2
    assert len(pages["page"].body.select("[role=list]")) == 1
