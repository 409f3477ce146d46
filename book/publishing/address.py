"""Where this copy of the book is published: asked of the surroundings, since a fork must not carry another's address."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

PACKAGE = "mea-lib[service]"  # with what chapters that serve a model need


@dataclass(frozen=True)
class Address:
    """A repository on the web, its site, and the commit that is published.

    Args:
        repository: such as https://github.com/owner/name, without a slash at its end.
        site: where the pages are served from, without a slash at its end; empty where it is not known.
        commit: the full hash.
        wheel: name of the package's file, which lies in `wheel_folder` of the site; empty where there is none.
    """

    repository: str
    site: str
    commit: str
    wheel: str = ""

    @property
    def wheel_folder(self) -> str:
        """Folder of the site: one for each commit, so that a cache never gives a notebook another one's package."""
        return f"wheels/{self.commit[:12]}"

    @property
    def sources(self) -> list[str]:
        """What pip installs the package from, the quickest first; the second outlives the next publication."""
        beside = (
            [f"{PACKAGE} @ {self.site}/{self.wheel_folder}/{self.wheel}"] if self.site and self.wheel else []
        )
        return [*beside, f"{PACKAGE} @ git+{self.repository}@{self.commit}"]

    @property
    def on_github(self) -> bool:
        """Whether Colab and Kaggle can open notebooks from there."""
        return urlsplit(self.repository).hostname == "github.com"


def find_address(root: Path, environment: Mapping[str, str] = os.environ) -> Address | None:
    """The address of the repository in `root`, or None where it has none on the web.

    A GitHub workflow says it in GITHUB_SERVER_URL, GITHUB_REPOSITORY and GITHUB_SHA; elsewhere it is that of the
    git remote `origin`. PAGES_URL names the site where it is not the one that GitHub Pages gives a repository.

    Args:
        root: of the repository.
        environment: the variables that are looked at.
    """
    repository = _of_the_workflow(environment) or web_address(_git(root, "remote", "get-url", "origin"))
    commit = environment.get("GITHUB_SHA") or _git(root, "rev-parse", "HEAD")
    if not (repository and commit):
        return None
    site = environment.get("PAGES_URL") or pages_address(repository)
    return Address(repository, site.rstrip("/"), commit)


def web_address(remote: str) -> str:
    """The web address of a git remote, whether https or ssh, without user and password; empty where it has none.

    >>> web_address("git@github.com:owner/name.git")
    'https://github.com/owner/name'
    """
    short = re.fullmatch(r"(?:[\w.-]+@)?([\w.-]+\.\w+):(?!//)/?(.+)", remote)
    if short:
        host, path = short.groups()
    else:
        parts = urlsplit(remote)
        if parts.scheme not in ("https", "ssh") or not parts.hostname:
            return ""
        host, path = parts.hostname, parts.path
        if parts.scheme == "https" and parts.port:
            host = f"{host}:{parts.port}"
    path = path.strip("/").removesuffix(".git")
    return f"https://{host}/{path}" if "/" in path else ""


def pages_address(repository: str) -> str:
    """Where GitHub Pages serves a repository's site; empty for other hosts, which have rules of their own.

    >>> pages_address("https://github.com/Owner/name")
    'https://owner.github.io/name'
    """
    parts = urlsplit(repository)
    if parts.hostname != "github.com":
        return ""
    owner, name = parts.path.strip("/").split("/")[:2]
    host = f"{owner.lower()}.github.io"
    return f"https://{host}" if name.lower() == host else f"https://{host}/{name}"


def _of_the_workflow(environment: Mapping[str, str]) -> str:
    server, name = (environment.get(variable, "") for variable in ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY"))
    return f"{server.rstrip('/')}/{name}" if server and name else ""


def _git(root: Path, *words: str) -> str:
    """What git says, or nothing where it fails or is missing."""
    try:
        finished = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return finished.stdout.strip() if finished.returncode == 0 else ""
