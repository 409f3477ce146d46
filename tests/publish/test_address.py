"""Where the book is published: from a workflow's variables, from the git remote, from nowhere."""

import subprocess
from pathlib import Path

import pytest
from publishing.address import Address, find_address, pages_address, web_address

WORKFLOW = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "Student/a-fork",
    "GITHUB_SHA": "c0ffee" * 6 + "c0ff",
}


@pytest.fixture
def clone(tmp_path):
    """A repository with one commit; `clone(remote)` gives it that origin."""

    def git(*words):
        command = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        subprocess.run(command, check=True, capture_output=True)

    def make(remote=None) -> Path:
        git("init", "--quiet")
        git("commit", "--quiet", "--allow-empty", "--message", "first")
        if remote:
            git("remote", "add", "origin", remote)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://github.com/owner/name.git", "https://github.com/owner/name"),
        ("https://github.com/owner/name/", "https://github.com/owner/name"),
        ("https://user:secret@github.com/owner/name", "https://github.com/owner/name"),
        ("git@github.com:owner/name.git", "https://github.com/owner/name"),
        ("github.com:owner/name", "https://github.com/owner/name"),
        ("ssh://git@github.com:22/owner/name.git", "https://github.com/owner/name"),
        ("git@gitlab.example.org:group/part/name.git", "https://gitlab.example.org/group/part/name"),
        ("https://code.example.org:8443/owner/name", "https://code.example.org:8443/owner/name"),
        ("/home/me/book.git", ""),
        ("../book.git", ""),
        ("file:///home/me/book.git", ""),
        ("C:/books/book.git", ""),
        ("https://github.com/", ""),
        ("", ""),
    ],
)
def test_a_remote_has_a_web_address_or_none(remote, expected):
    assert web_address(remote) == expected


@pytest.mark.parametrize(
    ("repository", "expected"),
    [
        ("https://github.com/Owner/Name", "https://owner.github.io/Name"),
        ("https://github.com/owner/owner.github.io", "https://owner.github.io"),
        ("https://code.example.org/owner/name", ""),
    ],
)
def test_the_site_is_where_github_pages_serves_it(repository, expected):
    assert pages_address(repository) == expected


def test_a_workflow_is_believed_before_the_remote(clone):
    found = find_address(clone("https://github.com/owner/name"), WORKFLOW)
    assert found == Address(
        "https://github.com/Student/a-fork", "https://student.github.io/a-fork", WORKFLOW["GITHUB_SHA"]
    )
    elsewhere = find_address(clone(), WORKFLOW | {"PAGES_URL": "https://book.example.org/"})
    assert elsewhere.site == "https://book.example.org"


def test_a_clone_knows_its_address_from_its_remote(clone):
    found = find_address(clone("git@github.com:owner/name.git"), {})
    assert (found.repository, found.site) == ("https://github.com/owner/name", "https://owner.github.io/name")
    assert len(found.commit) == 40


@pytest.mark.parametrize("remote", [None, "/somewhere/book.git"])
def test_where_nothing_is_on_the_web_there_is_no_address(clone, remote):
    assert find_address(clone(remote), {}) is None


def test_a_folder_that_is_no_repository_has_no_address(tmp_path):
    assert find_address(tmp_path, {"GIT_CEILING_DIRECTORIES": str(tmp_path)}) is None


def test_the_package_comes_from_beside_the_site_and_else_from_the_commit():
    address = Address(
        "https://github.com/o/n", "https://o.github.io/n", "c" * 40, "mea_lib-1-py3-none-any.whl"
    )
    assert address.sources == [
        f"mea-lib[service] @ https://o.github.io/n/wheels/{'c' * 12}/mea_lib-1-py3-none-any.whl",
        f"mea-lib[service] @ git+https://github.com/o/n@{'c' * 40}",
    ]
    elsewhere = Address("https://code.example.org/o/n", "", "c" * 40, "mea_lib-1-py3-none-any.whl")
    assert elsewhere.sources == [f"mea-lib[service] @ git+https://code.example.org/o/n@{'c' * 40}"]
