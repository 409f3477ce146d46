"""From a push to a fresh repository to pages, buttons, and a notebook that runs for somebody who has nothing else.

A bare repository stands for the one on the web, a server on this machine for Pages; the workflow is the real one.
The book that is pushed has one chapter and short pages, so that rendering takes seconds.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import yaml
from stand_in import Runner, served

pytestmark = pytest.mark.chapters
ROOT = Path(__file__).parent.parent.parent
CHAPTER = "00_steal_in_five_minutes"
TOC = {
    "format": "jb-book",
    "root": "book/index",
    "chapters": [{"file": f"notebooks/{CHAPTER}"}],
}
# As Colab's runtime has them: a newer IPython in its kernel ends the session.
COLAB = ("ipython==7.34.0", "ipykernel==6.17.1", "jupyter-client==7.4.9")
OWN_PACKAGES = Path(nbformat.__file__).parent.parent


def git(folder, *words):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def environment_beside_this_one(folder):
    """A virtual environment that sees this one's packages, but not the repository; its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "outer.pth").write_text(f"{OWN_PACKAGES}\n")
    return folder / "bin" / "python"


def push_the_book(folder, remote):
    """A first commit with a tag, in a repository that has no history and a bare remote."""
    listed = git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not (name.startswith("notebooks/") and CHAPTER not in name):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    (folder / "book" / "index.md").write_text("# A book\n\nWith one chapter.\n")
    (folder / "book" / "_toc.yml").write_text(yaml.safe_dump(TOC))
    shorten(folder / "notebooks" / f"{CHAPTER}.ipynb")
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "first")
    git(folder, "tag", "v0.1.0")
    git(remote, "init", "--quiet", "--bare", "--initial-branch", "main")
    git(folder, "push", "--quiet", str(remote), "main", "v0.1.0")


def shorten(path):
    """Leave out what leads to chapters that are not pushed: the code stays, and one heading."""
    notebook = nbformat.read(path, as_version=4)
    title = nbformat.v4.new_markdown_cell("# A chapter")
    notebook.cells = [title, *(cell for cell in notebook.cells if cell.cell_type == "code")]
    nbformat.write(notebook, path)


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    for name in ("pushed", "remote", "served", "programs", "home"):
        (folder / name).mkdir()
    remote, programs = folder / "remote", folder / "programs"
    push_the_book(folder / "pushed", remote)
    (programs / "gh").write_text(f'#!/bin/bash\necho "$@" >>{folder}/gh.log\n[ "$2" != view ]\n')
    (programs / "gh").chmod(0o755)

    def prepare(clone):
        """What `make .venv-read/.ready-read` would install is here already, and make finds it so."""
        python = environment_beside_this_one(clone / ".venv-read")
        python.with_name("jupyter-book").symlink_to(Path(sys.executable).with_name("jupyter-book"))
        (clone / ".venv-read" / ".ready-read").touch()

    with served(folder / "served") as (server, asked):
        options = {"repository": "Student/book", "site": f"{server}/book"}
        options |= {"prepare": prepare, "programs": programs}
        workflow = ROOT / ".github" / "workflows" / "publish.yml"
        push = Runner(workflow, remote, folder, ref="refs/heads/main", **options)
        ran = push.run()
        yield SimpleNamespace(
            folder=folder,
            remote=remote,
            site=f"{server}/book",
            asked=asked,
            ran=ran,
            tag=lambda: Runner(workflow, remote, folder, ref="refs/tags/v0.1.0", **options),
        )


def page(published):
    with urllib.request.urlopen(f"{published.site}/notebooks/{CHAPTER}.html") as answer:
        return answer.read().decode()


def on_branch(published, path):
    return git(published.remote, "show", f"colab:{path}")


def test_a_push_to_main_deploys_the_pages_and_the_notebooks(published):
    assert published.ran == {"build", "deploy", "notebooks"}
    assert "A chapter" in page(published)
    files = set(git(published.remote, "ls-tree", "-r", "--name-only", "colab").split())
    assert files == {"LICENSE", "README.md", f"notebooks/{CHAPTER}.ipynb"}
    assert git(published.remote, "rev-list", "--count", "colab").strip() == "1"
    assert git(published.remote, "rev-parse", "main").strip() in on_branch(published, "README.md")


def test_the_buttons_of_a_chapter_open_the_notebook_of_the_branch(published):
    links = re.findall(r'href="([^"]+)"', page(published))
    notebook = f"github.com/Student/book/blob/colab/notebooks/{CHAPTER}.ipynb"
    assert f"https://colab.research.google.com/{notebook.replace('github.com', 'github')}" in links
    assert f"https://kaggle.com/kernels/welcome?src=https://{notebook}" in links
    assert "https://github.com/Student/book" in links
    assert any(link.startswith("https://github.com/Student/book/issues/new?") for link in links)
    assert on_branch(published, f"notebooks/{CHAPTER}.ipynb")


def test_the_downloaded_notebook_installs_the_package_too(published):
    with urllib.request.urlopen(f"{published.site}/_sources/notebooks/{CHAPTER}.ipynb") as answer:
        assert f"{published.site}/wheels/" in answer.read().decode()


def test_the_citation_beside_the_pages_is_of_this_commit(published):
    with urllib.request.urlopen(f"{published.site}/CITATION.cff") as answer:
        citation = yaml.safe_load(answer)
    assert citation["url"] == published.site
    assert citation["commit"] == git(published.remote, "rev-parse", "main").strip()


def test_a_tag_makes_a_release_with_sums_and_deploys_nothing(published):
    tag = published.tag()
    tag.finished.add("build")  # the one above has built the same commit
    assert tag.run("deploy", "notebooks", "release") == {"build", "release"}
    said = (published.folder / "gh.log").read_text().splitlines()
    assert said[0] == "release view v0.1.0"
    assert said[1].startswith("release create v0.1.0 ")
    assert {"release/mea-defender-book.zip", "release/SHA256SUMS"} <= set(said[2].split())
    release = published.folder / "artifacts" / "release"
    sums = dict(line.split("  ")[::-1] for line in (release / "SHA256SUMS").read_text().splitlines())
    assert len(sums) == 3
    for name, expected in sums.items():
        assert hashlib.sha256((release / name).read_bytes()).hexdigest() == expected


def test_a_published_notebook_runs_alone_and_leaves_colabs_packages_as_they_are(published, tmp_path):
    python = environment_beside_this_one(tmp_path / "venv")
    subprocess.run([python, "-m", "pip", "install", "--quiet", *COLAB], check=True)
    alone = tmp_path / "alone"
    alone.mkdir()
    notebook = alone / f"{CHAPTER}.ipynb"
    notebook.write_text(on_branch(published, f"notebooks/{CHAPTER}.ipynb"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MEA_", "PYTHON"))}
    command = [
        python,
        ROOT / "book" / "publishing" / "run_alone.py",
        notebook,
        "--out",
        tmp_path / "run.ipynb",
    ]
    done = subprocess.run(
        command,
        cwd=alone,
        env=kept | {"MEA_SCALE": "smoke", "MEA_STORE": str(tmp_path / "store")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "'ipython': '7.34.0'" in done.stdout
    (site,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    installed = {path.name.split("-")[0] for path in site.glob("*.dist-info")}
    assert "mea_lib" in installed
    assert not {"torch", "torchvision"} & installed, "torch was installed a second time"
    assert any(path.endswith(".whl") for path in published.asked), (
        "the package did not come from beside the pages"
    )
    code = [
        cell for cell in nbformat.read(tmp_path / "run.ipynb", as_version=4).cells if cell.cell_type == "code"
    ]
    assert all(cell.execution_count for cell in code)
