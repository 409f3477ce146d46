"""What a page says about itself to search engines and to those who share its link, and what it loads at once."""

import re
from html import escape, unescape

CARD = "_static/social-card.png"
DESCRIPTION_LENGTH = 160
ONLY_FOR_SEARCH = re.compile(
    r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>'
)
MATHJAX = re.compile(r"\s*<script>window\.MathJax = .*?</script>|\s*<script[^>]*mathjax/[^>]*></script>")
MATHJAX_SOURCE = re.compile(r'<script[^>]*src="([^"]*/)mathjax/([^"]*)"[^>]*></script>')
# As the renderer marks a formula, or as MathJax finds one in an output.
FORMULA = re.compile(r'class="[^"]*\bmath\b|\\\(|\\\[|\$\$|\\begin\{')
# Its values are set by scripts inside the page, which a deferred script would come too late for.
AT_ONCE = "documentation_options.js"


def finish_head(page: str, name: str, address: str = "") -> str:
    """The page with a description, a card for those who share it, and scripts that do not hold it up.

    Args:
        page: HTML.
        name: address of the page in the site, such as `book/index.html`.
        address: of the site, with a slash at its end; without it the card's address is relative.
    """
    title = re.sub(r"^(.+?) — \1$", r"\1", _title(page))
    page = re.sub(
        r"<title>.*?</title>", lambda _: f"<title>{escape(title)}</title>", page, count=1, flags=re.S
    )
    description = _description(page) or title
    tags = _tags(title, description, name, address)
    page = page.replace("</title>", "</title>\n    " + "\n    ".join(tags), 1)
    if not FORMULA.search(_article(page)):
        page = MATHJAX.sub("", page)
    page = MATHJAX_SOURCE.sub(
        r'<script defer data-source="\1mathjax/\2" src="\1late_formulas.js"></script>', page
    )
    if name != "search.html":
        page = ONLY_FOR_SEARCH.sub("", page)
    return _deferred(page)


def front_page(first: str, name: str, address: str = "") -> str:
    """The page at the site's own address, which leads to the first page and is what people share.

    Args:
        first: HTML of the first page.
        name: its address in the site.
        address: of the site, with a slash at its end, if it is known.
    """
    title, description = _title(first), _description(first)
    lines = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8" />',
        f"<title>{escape(title)}</title>",
        *_tags(title, description, "", address),
        '<link rel="icon" href="_static/favicon.svg" />',
        f'<meta http-equiv="refresh" content="0; url={name}" />',
        f'</head><body><p><a href="{name}">{escape(title)}</a></p></body></html>',
    ]
    return "\n".join(lines) + "\n"


def _tags(title: str, description: str, name: str, address: str) -> list[str]:
    root = address or "../" * name.count("/")
    said = {"description": description, "twitter:card": "summary_large_image"}
    shared = {
        "og:title": title,
        "og:description": description,
        "og:type": "article",
        "og:image": f"{root}{CARD}",
    }
    if address:
        shared["og:url"] = address + name
    tags = [f'<meta name="{key}" content="{escape(value)}" />' for key, value in said.items()]
    return tags + [f'<meta property="{key}" content="{escape(value)}" />' for key, value in shared.items()]


def _deferred(page: str) -> str:
    """Scripts of the head run in their order once the page is there, instead of before anything is shown."""
    head, end, body = page.partition("</head>")
    scripts = r'<script (?![^>]*defer)([^>]*src="(?![^"]*' + re.escape(AT_ONCE) + r')[^"]*"[^>]*)>'
    return re.sub(scripts, r"<script defer \1>", head) + end + body


def _description(page: str) -> str:
    """The first paragraph of the article, which in a chapter is its question."""
    words = _text(re.search(r"<p>(.*?)</p>", _article(page), re.S))
    if len(words) <= DESCRIPTION_LENGTH:
        return words
    return words[:DESCRIPTION_LENGTH].rsplit(" ", 1)[0] + " …"


def _article(page: str) -> str:
    return page.partition('<article class="bd-article">')[2].partition("</article>")[0]


def _title(page: str) -> str:
    return _text(re.search(r"<title>(.*?)</title>", page, re.S))


def _text(found: re.Match | None) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", found[1]))).strip() if found else ""
