"""The address written into copies: of notebooks, of the site's configuration, of the citation, of the project."""

import copy
import json
from pathlib import Path

from nbformat import NotebookNode
from setup_cell import setup_cell

from publishing.address import Address

BRANCH = "colab"  # generated: notebooks that install the package by themselves
COLAB = "https://colab.research.google.com"


def stamp_notebook(notebook: NotebookNode, address: Address) -> NotebookNode:
    """A copy with the places its package comes from in the set-up cell; Colab opens it with a GPU."""
    notebook = copy.deepcopy(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.source == setup_cell():
            cell.source = setup_cell(address.sources)
    notebook.metadata["accelerator"] = "GPU"
    notebook.metadata["colab"] = {"gpuType": "T4", "provenance": []}
    return notebook


def stamp_configuration(config: dict, address: Address) -> dict:
    """The book's configuration with buttons for the repository, for issues, and where they can open it for notebooks.

    They are options of the theme, beside the book's own, where the theme looks for them.
    """
    theme = config["sphinx"]["config"].setdefault("html_theme_options", {})
    theme |= {
        "repository_url": address.repository,
        # A host that the theme does not know is an error to it; most others have GitHub's paths.
        "repository_provider": "gitlab" if "gitlab" in address.repository else "github",
        "repository_branch": BRANCH,
        "use_repository_button": True,
        "use_issues_button": True,
    }
    if address.on_github:
        theme["launch_buttons"] = {"colab_url": COLAB}
        config["sphinx"].setdefault("local_extensions", {})["kaggle_button"] = str(Path(__file__).parent)
        config["sphinx"]["config"].setdefault("extensions", []).append("kaggle_button")
    if address.site:
        config["sphinx"]["config"]["html_baseurl"] = f"{address.site}/"
    return config


def stamp_citation(text: str, address: Address) -> str:
    """The text of CITATION.cff with where the book is read and where its code lies."""
    words = {"repository-code": address.repository, "commit": address.commit}
    if address.site:
        words["url"] = address.site
    return text.rstrip("\n") + "".join(f"\n{name}: {json.dumps(word)}" for name, word in words.items()) + "\n"


def stamp_project(text: str, address: Address) -> str:
    """The text of pyproject.toml with the project's addresses, which package indexes show."""
    words = {"Source": address.repository, "Issues": f"{address.repository}/issues"}
    if address.site:
        words = {"Homepage": address.site} | words
    lines = [f"{name} = {json.dumps(word)}" for name, word in words.items()]
    return "\n".join([text.rstrip("\n"), "", "[project.urls]", *lines, ""])
