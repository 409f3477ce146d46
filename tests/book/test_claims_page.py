"""The page of all claims, as text: the browser's tests try its filters."""

from bs4 import BeautifulSoup
from chapter_facts import ChapterFacts
from claims_page import claims_list
from toy_chapters import STORED_CLAIM as CLAIM

RUN = {"date": "2026-11-28", "machine": "2 x86_64 cores"}
CHAPTERS = {
    name: ChapterFacts(name, f"On {name}", "", 3, (), {"run": RUN, "seconds": {"laptop": seconds}})
    for name, seconds in (("00_steal", 90), ("01_more", 150))
}


def page(*claims, chapters=None):
    return BeautifulSoup(claims_list(claims, chapters), "html.parser")


def test_every_verdict_has_its_words_and_text_is_escaped():
    html = claims_list([CLAIM, CLAIM | {"holds": False}, CLAIM | {"scale": "smoke"}])
    for words in ("A &lt; B", "✓ holds", "✗ does not hold", "not claimed<", "at smoke scale"):
        assert words in html
    assert "nothing is claimed" in claims_list([])


def test_the_summary_counts_and_says_date_machine_and_minutes():
    claims = [CLAIM, CLAIM | {"holds": False}, CLAIM | {"chapter": "01_more"}]
    summary = page(*claims, chapters=CHAPTERS).select_one(".claims-summary").get_text()
    assert (
        summary
        == "2 of 3 claims hold. scale laptop · 2026-11-28 · 2 x86_64 cores · 4 minutes of a core from nothing."
    )


def test_what_no_chapter_knows_is_left_out_of_the_summary():
    assert page(CLAIM).select_one(".claims-summary").get_text() == "1 of 1 claims hold. scale laptop."


def test_each_claim_can_be_linked_to_and_stands_under_its_chapter():
    html = page(CLAIM, CLAIM | {"id": "01-b", "chapter": "01_more"}, chapters=CHAPTERS)
    for name, number, key in (("00_steal", "00", "00-a"), ("01_more", "01", "01-b")):
        chapter = html.find(id=f"chapter-{number}")
        assert f"On {name}" in chapter.summary.get_text()
        assert chapter.find(id=key).select_one(f"a[href='#{key}']")
        assert chapter.select_one(f"a[href='../notebooks/{name}.html']")


def test_without_scripts_it_is_the_full_list():
    html = page(CLAIM, chapters=CHAPTERS)
    assert all(chapter.has_attr("open") for chapter in html.select("details"))
    assert "pst-js-only" in html.form["class"]


def test_filters_are_offered_for_what_claims_say_and_nothing_else():
    def offered(html):
        return {select["data-filter"]: [o["value"] for o in select("option")] for select in html("select")}

    assert offered(page(CLAIM)) == {"chapter": ["", "00_steal"], "verdict": ["", "holds"]}
    told = CLAIM | {"method": "runner-up", "agrees_with_paper": "different method"}
    paper = CLAIM | {"method": "paper's", "agrees_with_paper": True, "holds": False}
    assert offered(page(told, paper)) == {
        "chapter": ["", "00_steal"],
        "verdict": ["", "holds", "broken"],
        "method": ["", "paper's", "runner-up"],
        "agreement": ["", "different method", "yes"],
    }
    assert page(told).select_one(".claim")["data-agreement"] == "different method"
