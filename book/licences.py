"""The licences of the pinned packages, as their own metadata name them, written into licences.json beside this file.

Run it in the environment of `make test`, which has them all, after a change of constraints.txt. The site shows the
file, since an environment that only renders has few of the packages.
"""

import json
import re
from collections.abc import Iterator
from email.message import Message
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FILE = Path(__file__).with_name("licences.json")
LONGEST = 60  # characters of a name; what is longer is the text of a licence


def find_licences() -> list[dict[str, str | None]]:
    """Name, version, licence and home page of every pinned package that is installed; None for what is not said."""
    found = []
    for name, version in pins():
        try:
            about = distribution(name).metadata
        except PackageNotFoundError:  # of another system
            continue
        found.append({"name": name, "version": version, "licence": licence(about), "page": home_page(about)})
    return found


def pins() -> Iterator[tuple[str, str]]:
    """Names and versions of constraints.txt, in its order."""
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if "==" in line:
            name, _, version = line.partition("==")
            yield name, version


def licence(about: Message) -> str | None:
    """The licence's expression, else what classifiers call it, else the field for it where it holds a name."""
    if expression := about.get("License-Expression"):
        return expression
    classes = [
        line.split(" :: ")[-1] for line in about.get_all("Classifier", []) if line.startswith("License")
    ]
    if named := [one for one in classes if one not in ("OSI Approved", "DFSG approved")]:
        return ", ".join(named)
    text = (about.get("License") or "").strip()
    return text if text and len(text) <= LONGEST and "\n" not in text else None


def home_page(about: Message) -> str | None:
    """The first address of the project that the metadata name: its home page, source or documentation."""
    urls = dict(re.split(r",\s*", line, maxsplit=1) for line in about.get_all("Project-URL", []))
    named = {name.lower(): url for name, url in urls.items()}
    order = ("homepage", "home", "repository", "source", "source code", "github", "documentation")
    found = [about.get("Home-page"), *(named.get(name) for name in order), *named.values()]
    return next((url for url in found if url and url.startswith("https://")), None)


if __name__ == "__main__":
    FILE.write_text(json.dumps(find_licences(), indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
