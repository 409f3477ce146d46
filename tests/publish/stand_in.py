"""Stands in for what a push meets: the runner that takes a workflow's steps one by one, and the server of the pages.

It runs the `run:` steps as they are written. Of the actions it does what they do for a workflow: they clone, carry
files from job to job, say where the pages will be, and put them there.
"""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import yaml


class Runner:
    """Runs the jobs of one workflow for one push.

    Args:
        workflow: the YAML file.
        remote: a bare repository, which stands for the one on the web.
        folder: for workspaces, artifacts and the served pages.
        repository: its name there, as owner/name.
        ref: what was pushed, such as refs/heads/main.
        site: address that the pages will have.
        prepare: called with each fresh clone.
        programs: folder of programs that a runner has beside the system's.
    """

    def __init__(
        self,
        workflow: Path,
        remote: Path,
        folder: Path,
        *,
        repository: str,
        ref: str,
        site: str,
        prepare: Callable[[Path], None],
        programs: Path,
    ) -> None:
        self.workflow = yaml.safe_load(workflow.read_text())
        self.remote, self.folder, self.site, self.prepare = remote, folder, site, prepare
        commit = subprocess.run(
            ["git", "rev-parse", f"{ref}^{{commit}}"], cwd=remote, capture_output=True, text=True, check=True
        ).stdout.strip()
        self.github = SimpleNamespace(ref=ref, repository=repository, token="a-token", sha=commit)
        kept = {name: os.environ[name] for name in os.environ if name.startswith(("PIP_", "SSL_", "LANG"))}
        self.environment = kept | {
            "HOME": str(folder),
            "PATH": os.pathsep.join([str(programs), "/usr/local/bin:/usr/bin:/bin"]),
            "CI": "true",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": repository,
            "GITHUB_REF_NAME": ref.rpartition("/")[2],
            "GITHUB_SHA": commit,
        }
        self.finished: set[str] = set()

    def run(self, *only: str) -> set[str]:
        """Run the jobs, or only those that are named, in their order; the names of all that have run."""
        for name, job in self.workflow["jobs"].items():
            if only and name not in only:
                continue
            needed = job.get("needs", [])
            needed = {needed} if isinstance(needed, str) else set(needed)
            if needed <= self.finished and self._value(job.get("if", "True"), {}):
                self._run_job(name, job)
                self.finished.add(name)
        return self.finished

    def _run_job(self, name: str, job: dict) -> None:
        workspace = self.folder / "jobs" / name
        workspace.mkdir(parents=True)
        temporary = self.folder / "temporary" / name
        temporary.mkdir(parents=True)
        steps: dict[str, SimpleNamespace] = {}
        for number, step in enumerate(job["steps"]):
            outputs = {}
            if "uses" in step:
                action = step["uses"].split("@")[0].removeprefix("actions/").replace("-", "_")
                outputs = getattr(self, action)(workspace, step.get("with", {})) or {}
            else:
                script = temporary / f"{number}.sh"
                script.write_text(step["run"])
                shell = self.workflow["defaults"]["run"]["shell"].replace("{0}", str(script)).split()
                own = {key: self._text(value, steps) for key, value in step.get("env", {}).items()}
                environment = self.environment | {"RUNNER_TEMP": str(temporary)} | own
                done = subprocess.run(
                    shell, cwd=workspace, env=environment, capture_output=True, text=True, check=False
                )
                assert done.returncode == 0, (
                    f"{name}, step {number}:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
                )
            if "id" in step:
                steps[step["id"]] = SimpleNamespace(outputs=SimpleNamespace(**outputs))

    def _text(self, text: str, steps: dict) -> str:
        return re.sub(r"\$\{\{(.*?)\}\}", lambda found: str(self._value(found[1].strip(), steps)), text)

    def _value(self, expression: str, steps: dict) -> object:
        names = {
            "github": self.github,
            "steps": SimpleNamespace(**steps),
            "startsWith": lambda text, start: text.startswith(start),
        }
        return eval(expression, {"__builtins__": {}}, names)

    # What follows are the actions, by their names.

    def checkout(self, workspace: Path, _: dict) -> None:
        subprocess.run(["git", "clone", "--quiet", str(self.remote), str(workspace)], check=True)
        subprocess.run(["git", "checkout", "--quiet", self.github.sha], cwd=workspace, check=True)
        self.prepare(workspace)

    def setup_python(self, _: Path, options: dict) -> None:
        assert options["python-version"] in ("3.11", "3.12", "3.13")

    def configure_pages(self, _: Path, __: dict) -> dict[str, str]:
        return {"base_url": self.site}

    def upload_artifact(self, workspace: Path, options: dict) -> None:
        shutil.copytree(workspace / options["path"], self.folder / "artifacts" / options["name"])

    def upload_pages_artifact(self, workspace: Path, options: dict) -> None:
        self.upload_artifact(workspace, options | {"name": "github-pages"})

    def download_artifact(self, workspace: Path, options: dict) -> None:
        target = workspace / options["path"]
        shutil.copytree(self.folder / "artifacts" / options["name"], target, dirs_exist_ok=True)

    def deploy_pages(self, _: Path, __: dict) -> dict[str, str]:
        served = self.folder / "served" / self.github.repository.split("/")[1]
        shutil.copytree(self.folder / "artifacts" / "github-pages", served)
        return {"page_url": f"{self.site}/"}


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Serve a folder on this machine; the address, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()
