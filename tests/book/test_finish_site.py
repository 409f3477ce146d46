"""What is done to rendered pages: icons, heads, words for the search, and what is left away."""

import json

import pytest
from finish_site import NAMED_BUTTON, finish_site
from icons import inline_icons
from page_head import finish_head
from page_words import page_words

ICONS = 'var a={"angle-left":[320,512,[8249],"f104","M41 233z"],bars:[448,512,["navicon"],"f0c9","M0 96z"]}'
PAGE = """<html><head><title>A — B</title>
<script src="../_static/documentation_options.js?v=1"></script>
<script defer src="../_static/scripts/fontawesome.js?digest=5"></script>
<script src="../_static/doctools.js?v=1"></script>
<script src="../_static/searchtools.js"></script>
</head><body><i class="fa-solid fa-angle-left"></i><span data-mode="dark" class="fas fa-bars fa-lg" title="Menu">
</span><article class="bd-article"><section id="one"><h1>One<a class="headerlink" href="#one">#</a></h1>
<p><strong>Is &amp; was?</strong></p><script>no()</script><section id="two"><h2>Two</h2><table><td>a</td><td>b</td>
</table></section></section></article></body></html>"""


@pytest.fixture
def site(tmp_path):
    library = tmp_path / "_static" / "scripts" / "fontawesome.js"
    library.parent.mkdir(parents=True)
    library.write_text(ICONS)
    return tmp_path


def test_icons_are_drawn_in_the_page_with_all_that_their_elements_say(site):
    page = inline_icons(PAGE, site)
    assert 'd="M41 233z"' in page
    assert 'data-mode="dark"' in page
    assert 'title="Menu"' in page
    assert 'class="fas fa-bars fa-lg svg-inline--fa"' in page
    assert "fontawesome.js" not in page


def test_an_icon_that_the_library_does_not_have_is_said(site):
    with pytest.raises(ValueError, match="no icon for the classes 'fas fa-unheard'"):
        inline_icons('<i class="fas fa-unheard"></i>', site)


def test_scripts_of_the_head_wait_and_those_of_the_search_stay_on_its_page():
    page = finish_head(PAGE, "book/a.html")
    assert '<script src="../_static/documentation_options.js?v=1">' in page
    assert '<script defer src="../_static/doctools.js?v=1">' in page
    assert "searchtools" not in page
    assert "searchtools" in finish_head(PAGE, "search.html")


@pytest.mark.parametrize(
    "address, card", [("", "../_static"), ("https://a.example/b/", "https://a.example/b/_static")]
)
def test_a_page_says_what_it_is_about_to_those_who_share_it(address, card):
    page = finish_head(PAGE, "book/a.html", address)
    assert '<meta name="description" content="Is &amp; was?" />' in page
    assert f'<meta property="og:image" content="{card}/social-card.png" />' in page
    assert ('"og:url" content="https://a.example/b/book/a.html"' in page) == bool(address)


@pytest.mark.parametrize(
    "text, has",
    [("x", False), ('<span class="math notranslate">x</span>', True), (r"<pre>\(x\)</pre>", True)],
)
def test_mathjax_is_loaded_where_there_is_a_formula(text, has):
    scripts = (
        '<script>window.MathJax = {"a": 1}</script><script defer src="../_static/mathjax/tex.js"></script>'
    )
    page = finish_head(PAGE.replace("</head>", scripts + "</head>").replace("Two", text), "book/a.html")
    assert ("window.MathJax" in page, "mathjax/tex.js" in page) == (has, has)


def test_the_search_button_is_named_by_what_it_shows():
    button = (
        '<button class="btn search-button-field search-button__button" title="Search" aria-label="Search">'
    )
    assert NAMED_BUTTON.sub(r"\1", button) == button.replace(' aria-label="Search"', "")


def test_no_two_exercises_have_one_identity(site):
    page = PAGE.replace(
        "</article>",
        '<section id="exercise-content">a</section><section id="solution-content">b</section></article>',
    )
    (site / "a.html").write_text(page)
    finish_site(site)
    found = (site / "a.html").read_text()
    assert "<section>a</section><section>b</section>" in found


def test_a_title_is_not_said_twice():
    assert "<title>B</title>" in finish_head(PAGE.replace("A — B", "B — B"), "book/a.html")


def test_words_are_those_of_the_article_by_section():
    assert page_words(PAGE) == [("one", "One Is & was?"), ("two", "Two a b")]


def test_the_whole_site_is_finished_and_loses_what_no_page_asks_for(site):
    kept = ["tex-chtml.js", "output/chtml/fonts/woff-v2/a.woff", "input/tex/extensions/b.js"]
    lost = ["sre/c.json", "tex-svg.js"]
    for name in (*kept, *lost):
        path = site / "_static" / "mathjax" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name in ("book/index.html", "notebooks/00_a.html", "search.html", "index.html"):
        (site / name).parent.mkdir(exist_ok=True)
        (site / name).write_text(PAGE)
    (site / "_static" / "scripts" / "a.js.map").touch()
    finish_site(site, "https://a.example/")
    mathjax = site / "_static" / "mathjax"
    left = {path.relative_to(mathjax).as_posix() for path in mathjax.rglob("*") if path.is_file()}
    assert left == set(kept)
    assert not (mathjax / "sre").exists()
    assert not list(site.rglob("*.map"))
    assert not list(site.rglob("fontawesome.js"))
    front = (site / "index.html").read_text()
    assert 'content="0; url=book/index.html"' in front
    assert 'content="https://a.example/_static/social-card.png"' in front
    written = (site / "_static" / "page_words.js").read_text()
    words = json.loads(written.removeprefix("const pageWords = ").removesuffix(";\n"))
    assert set(words) == {"book/index", "notebooks/00_a"}
    assert "search_excerpts.js" in (site / "search.html").read_text()
    assert "search_excerpts.js" not in (site / "book" / "index.html").read_text()
