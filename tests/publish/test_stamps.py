"""Only staged copies name an address, and what they name leads back to where they came from."""

import copy
import tomllib
from pathlib import Path

import nbformat
import yaml
from publishing.address import Address
from publishing.stamps import stamp_citation, stamp_configuration, stamp_notebook, stamp_project
from setup_cell import setup_cell
from site_pages import stage_pages

ROOT = Path(__file__).parent.parent.parent
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
FIRST = sorted((ROOT / "notebooks").glob("*.ipynb"))[0]
ADDRESS = Address(
    "https://github.com/student/fork", "https://student.github.io/fork", "c" * 40, "mea_lib.whl"
)
ELSEWHERE = Address("https://code.example.org/student/fork", "", "c" * 40)


def configuration(address):
    return stamp_configuration(copy.deepcopy(CONFIG), address)["sphinx"]["config"]


def staged_configuration(stage):
    """The configuration beside the staged pages, less the line about the edition, which every site has."""
    settings = yaml.safe_load((stage / "_config.yml").read_text())
    theme = settings["sphinx"]["config"]["html_theme_options"]
    assert theme.pop("extra_footer").startswith('<p class="edition">Version ')
    return settings


def test_a_published_notebook_differs_in_its_first_cell_only():
    kept = nbformat.read(FIRST, as_version=4)
    stamped = stamp_notebook(copy.deepcopy(kept), ADDRESS)
    cells = [(a, b) for a, b in zip(kept.cells, stamped.cells, strict=True) if a != b]
    ((before, after),) = cells
    assert before.source == setup_cell()
    assert after.source == setup_cell(ADDRESS.sources)
    assert all(source in after.source for source in ADDRESS.sources)
    assert after.outputs == before.outputs
    assert stamped.metadata.accelerator == "GPU"
    nbformat.validate(stamped)


def test_buttons_are_options_of_the_theme_beside_the_books_own():
    theme = configuration(ADDRESS)["html_theme_options"]
    assert theme["repository_url"] == ADDRESS.repository
    assert theme["repository_branch"] == "colab"
    assert theme["use_repository_button"] is theme["use_issues_button"] is True
    assert theme["launch_buttons"] == {"colab_url": "https://colab.research.google.com"}
    for name, option in CONFIG["sphinx"]["config"]["html_theme_options"].items():
        assert theme[name] == option


def test_on_other_hosts_nothing_leads_to_colab_which_cannot_open_them():
    stamped = configuration(ELSEWHERE)
    assert stamped["html_theme_options"]["repository_url"] == ELSEWHERE.repository
    assert "launch_buttons" not in stamped["html_theme_options"]
    assert "kaggle_button" not in stamped["extensions"]


def test_pages_without_an_address_are_staged_as_they_are(tmp_path):
    chapter = nbformat.read(FIRST, as_version=4)
    stage = stage_pages(ROOT, tmp_path / "stage", [], {FIRST.stem: chapter})
    assert staged_configuration(stage) == CONFIG
    assert nbformat.read(stage / "notebooks" / FIRST.name, as_version=4) == chapter


def test_pages_with_an_address_are_staged_with_it(tmp_path):
    chapter = nbformat.read(FIRST, as_version=4)
    stage = stage_pages(ROOT, tmp_path / "stage", [], {FIRST.stem: chapter}, ADDRESS)
    assert staged_configuration(stage)["sphinx"]["config"] == configuration(ADDRESS)
    cells = nbformat.read(stage / "notebooks" / FIRST.name, as_version=4).cells
    assert setup_cell(ADDRESS.sources) in [cell.source for cell in cells]


def test_a_published_citation_says_where_the_book_is():
    text = (ROOT / "CITATION.cff").read_text()
    stamped = yaml.safe_load(stamp_citation(text, ADDRESS))
    added = {"url": ADDRESS.site, "repository-code": ADDRESS.repository, "commit": ADDRESS.commit}
    assert stamped == yaml.safe_load(text) | added


def test_a_published_package_names_its_project():
    text = (ROOT / "pyproject.toml").read_text()
    stamped = tomllib.loads(stamp_project(text, ADDRESS))
    urls = stamped["project"].pop("urls")
    assert stamped == tomllib.loads(text)
    assert urls["Homepage"] == ADDRESS.site
    assert urls["Issues"] == f"{ADDRESS.repository}/issues"


def test_no_address_is_committed():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert not {"url", "repository-code", "commit"} & citation.keys()
    assert "urls" not in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert not {"repository", "launch_buttons"} & CONFIG.keys()
    settings = CONFIG["sphinx"]["config"]
    assert "html_baseurl" not in settings
    assert not {"repository_url", "launch_buttons"} & settings["html_theme_options"].keys()
