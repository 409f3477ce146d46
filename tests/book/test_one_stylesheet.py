"""All stylesheets of a page in one file."""

from one_stylesheet import join_stylesheets

HEAD = """<head>
<link href="../_static/styles/theme.css?digest=5" rel="stylesheet" />
<link rel="icon" href="../_static/favicon.svg"/>
    <link rel="stylesheet" type="text/css" href="../_static/book.css?v=1" />
<link rel="stylesheet" href="https://a.example/b.css" />
</head>"""


def test_stylesheets_become_one_and_what_they_name_is_found(tmp_path):
    (tmp_path / "_static" / "styles").mkdir(parents=True)
    (tmp_path / "_static" / "basic.css").write_text("i{background:url(file.png)}")
    fonts = '@import "../basic.css";@font-face{src:url(../vendor/a.woff2)} b{background:url(\'data:x\')} c{background:url("d.png")}'
    (tmp_path / "_static" / "styles" / "theme.css").write_text(fonts)
    (tmp_path / "_static" / "book.css").write_text("p{color:red}")
    page = join_stylesheets(HEAD, tmp_path)
    (joined,) = (tmp_path / "_static").glob("pages.*.css")
    assert page == (
        f'<head>\n<link rel="stylesheet" href="../_static/{joined.name}" />\n'
        '<link rel="icon" href="../_static/favicon.svg"/>\n'
        '<link rel="stylesheet" href="https://a.example/b.css" />\n</head>'
    )
    assert joined.read_text() == (
        'i{background:url("file.png")}@font-face{src:url("vendor/a.woff2")} b{background:url(\'data:x\')} '
        'c{background:url("styles/d.png")}\np{color:red}'
    )


def test_a_page_without_stylesheets_stays_as_it_is(tmp_path):
    assert join_stylesheets("<p>", tmp_path) == "<p>"
