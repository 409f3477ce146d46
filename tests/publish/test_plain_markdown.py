"""Copies for Colab: no MyST is left, solutions are folded, what is to be predicted is not shown."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from publishing.plain_markdown import plain

ROOT = Path(__file__).parent.parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
CITED = ROOT / "book" / "references.bib"
SITE = "https://student.github.io/fork"


def text(source, site=SITE):
    return plain(new_notebook(cells=[new_markdown_cell(source)]), CITED, site).cells[0].source


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_nothing_is_left_that_only_the_pages_understand(path):
    kept = nbformat.read(path, as_version=4)
    copied = plain(kept, CITED, SITE)
    nbformat.validate(copied)
    for cell in copied.cells:
        if cell.cell_type == "markdown":
            assert not re.search(r"\{[a-z:-]+\}`|^`{3,}\{|\]\(\.\./|^:[a-z]+:", cell.source, re.M), (
                cell.source
            )
        elif "hide-output" in cell.metadata.get("tags", ()):
            assert not cell.outputs
    code = [cell.source for cell in kept.cells if cell.cell_type == "code"]
    assert [cell.source for cell in copied.cells if cell.cell_type == "code"] == code


def test_exercises_are_counted_and_their_solutions_folded():
    source = """Before.

```{exercise}
:label: ex-one
★ What is $1 + 1$?
```

````{solution} ex-one
:class: dropdown
```python
two = 1 + 1
```
````

```{exercise}
:label: ex-two
★★ And $2 + 2$?
```"""
    assert (
        text(source)
        == """Before.

**Exercise 1.** ★ What is $1 + 1$?

<details>
<summary>Solution of exercise 1</summary>

```python
two = 1 + 1
```

</details>

**Exercise 2.** ★★ And $2 + 2$?"""
    )


def test_an_admonition_is_a_quotation():
    assert (
        text("```{admonition} Careful\n:class: warning\nOne.\n\nTwo.\n```")
        == "> **Careful**\n>\n> One.\n>\n> Two."
    )


def test_citations_have_authors_and_years():
    assert (
        text("a patch {cite}`gu2017badnets,adi2018turning`.") == "a patch (Gu et al. 2017; Adi et al. 2018)."
    )
    assert text("{cite:t}`lv2024mea` say") == "Lv et al. (2024) say"


def test_links_to_pages_lead_to_the_site_where_there_is_one():
    source = "See [the page](../book/cli.md#mea-serve) and [related work](../book/related_work)."
    assert (
        text(source)
        == f"See [the page]({SITE}/book/cli.html#mea-serve) and [related work]({SITE}/book/related_work.html)."
    )
    assert text(source, "") == "See the page and related work."


def test_only_the_outputs_that_are_to_be_predicted_are_left_out():
    cells = [
        new_code_cell(
            "1", outputs=[new_output("stream", text="1")], execution_count=1, metadata={"tags": tags}
        )
        for tags in (["hide-input"], ["hide-input", "hide-output"])
    ]
    kept, hidden = plain(new_notebook(cells=cells), CITED, SITE).cells
    assert (len(kept.outputs), kept.execution_count) == (1, 1)
    assert (len(hidden.outputs), hidden.execution_count) == (0, None)
    assert cells[1].outputs  # the chapter itself is as it was
