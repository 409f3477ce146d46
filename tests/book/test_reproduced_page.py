"""The page "What reproduced": verdicts come from the claims about the paper's own method, and none is forgotten."""

import json
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from page_text import page_text
from reproduced_page import WORDS, reproduced_list, verdict

ROOT = Path(__file__).parents[2]
ITEMS = yaml.safe_load((ROOT / "book" / "reproduced.yaml").read_text(encoding="utf-8"))
CLAIMS = {
    claim["id"]: claim
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    for claim in json.loads(path.read_text(encoding="utf-8"))["metadata"]["mea"]["claims"]
}


def agreeing(*said):
    return [{"agrees_with_paper": one} for one in said]


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (agreeing("yes", "yes"), "yes"),
        (agreeing("yes", "weaker"), "weaker"),
        (agreeing("weaker", "no", "yes"), "no"),
        (agreeing("yes", "beyond"), "beyond"),
        (agreeing("beyond", "weaker"), "weaker"),
        (agreeing("different method", "yes"), "yes"),
        (agreeing("different method"), "different method"),
        (agreeing(""), "not measured"),
        ([], "not measured"),
    ],
)
def test_an_item_is_as_good_as_the_worst_claim_about_the_papers_own_method(claims, expected):
    assert verdict({}, claims) == expected


def test_an_item_without_a_figure_says_itself_where_it_is_shown():
    assert verdict({"shown": "no", "chapter": "05_x"}, []) == "no"


def test_each_row_shows_the_paper_what_was_measured_and_links_to_it():
    claim = {
        "id": "00-a",
        "chapter": "00_x",
        "claim": "A < B",
        "measured": "0.662",
        "agrees_with_paper": "yes",
    }
    items = [
        {"part": "P", "item": "I", "paper": "70.75 %", "claims": ["00-a"], "why": "small"},
        {"part": "P", "item": "J", "paper": "1", "shown": "no", "chapter": "05_y"},
        {"part": "Q", "item": "K", "paper": "2"},
    ]
    html = BeautifulSoup(reproduced_list(items, [claim]), "html.parser")
    assert (
        html.select_one(".claims-summary").get_text() == "3 items of the paper: 1 yes, 1 no, 1 not measured."
    )
    assert [heading.get_text() for heading in html("h2")] == ["P", "Q"]
    first, second, third = html.select("tbody tr")
    for words in ("I", "70.75\u00a0%", "0.662", "A < B", "✓ yes", "small"):
        assert words in first.get_text()
    assert {link["href"] for link in first("a")} == {"../notebooks/00_x.html", "claims.html#00-a"}
    assert second.a["href"] == "../notebooks/05_y.html"
    assert "not measured" in third.get_text()


def test_numbers_and_names_of_files_on_a_page():
    said = page_text("WSR -0.109 (84.40 %) <b> of 10-20 top-bottom in results/table1_cifar10.json")
    assert said == (
        "WSR −0.109 (84.40\u00a0%) &lt;b&gt; of 10-20 top-bottom in results/<wbr>table1_<wbr>cifar10.json"
    )


def test_every_item_names_claims_and_chapters_that_there_are():
    for item in ITEMS:
        assert set(item.get("claims", ())) <= set(CLAIMS), item["item"]
        assert item.get("shown", "yes") in WORDS
        assert "chapter" not in item or (ROOT / "notebooks" / f"{item['chapter']}.ipynb").exists()
        assert ("shown" in item) <= ("chapter" in item and "claims" not in item)


def test_every_claim_with_a_figure_of_the_paper_answers_an_item():
    compared = {
        key
        for key, claim in CLAIMS.items()
        if claim.get("agrees_with_paper") in ("yes", "beyond", "weaker", "no")
    }
    named = {key for item in ITEMS for key in item.get("claims", ())}
    assert compared <= named
    # Where the paper's own method was measured, another one does not answer for it.
    for item in ITEMS:
        methods = {CLAIMS[key]["agrees_with_paper"] == "different method" for key in item.get("claims", ())}
        assert len(methods) < 2, item["item"]


def test_a_figure_of_the_paper_agrees_only_where_its_own_method_was_measured():
    ours = ("runner-up", "meeting point")
    for key, claim in CLAIMS.items():
        if claim.get("paper") not in (None, "", "–"):
            assert claim["method"], key
            assert (claim["method"] in ours) == (claim["agrees_with_paper"] == "different method"), key
