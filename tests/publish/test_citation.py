"""CITATION.cff: what readers' programs need, and the same version everywhere."""

import re
import tomllib
from pathlib import Path

import yaml

import mea_lib

ROOT = Path(__file__).parent.parent.parent
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_it_has_what_the_format_asks_for():
    assert {"cff-version", "message", "title", "authors"} <= CITATION.keys()
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] in ("software", "dataset")
    for work in (CITATION, *CITATION["references"]):
        for author in work["authors"]:
            assert author.keys() in ({"name"}, {"family-names", "given-names"})


def test_the_version_is_the_same_everywhere():
    assert CITATION["version"] == PROJECT["version"] == mea_lib.__version__


def test_the_version_is_the_one_that_the_changelog_is_at():
    """What the errata call wrong in a version is not what readers of that version's number have."""
    newest = re.search(r"^## (\S+)( \(unreleased\))?$", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert mea_lib.__version__ == newest[1] + (".dev0" if newest[2] else "")


def test_it_agrees_with_the_project_and_the_book():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert CITATION["title"] == config["title"]
    assert CITATION["license"] == PROJECT["license"]
    assert [author["name"] for author in CITATION["authors"]] == [config["author"]]


def test_it_cites_the_paper_with_all_its_authors():
    (paper,) = CITATION["references"]
    entry = next(
        part for part in (ROOT / "book" / "references.bib").read_text().split("\n@") if "{lv2024mea," in part
    )
    for author in paper["authors"]:
        assert f"{author['family-names']}, {author['given-names']}" in entry
    assert len(paper["authors"]) == entry.split("author =")[1].split("}")[0].count(" and ") + 1
