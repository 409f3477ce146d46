"""The workflows: well-formed, careful in their shell, and allowed as little as they need."""

import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
NAMES = [path.stem for path in WORKFLOWS]


def read(path):
    # YAML takes the key `on` for a truth value.
    return {("on" if name is True else name): part for name, part in yaml.safe_load(path.read_text()).items()}


def steps(path):
    return [step for job in read(path)["jobs"].values() for step in job["steps"]]


def test_actionlint_finds_nothing():
    programs = sysconfig.get_path("scripts")  # shellcheck, which reads the scripts in them, lies there too
    environment = os.environ | {"PATH": os.pathsep.join([programs, os.environ["PATH"]])}
    command = ["actionlint", "-no-color", *map(str, WORKFLOWS)]
    found = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")


@pytest.mark.parametrize("path", WORKFLOWS, ids=NAMES)
def test_a_script_stops_at_its_first_failure(path):
    assert read(path)["defaults"]["run"]["shell"] == "bash --noprofile --norc -euo pipefail {0}"
    assert not any("shell" in step for step in steps(path))


@pytest.mark.parametrize("path", WORKFLOWS, ids=NAMES)
def test_only_githubs_own_actions_are_used_each_of_a_major_version(path):
    used = [step["uses"] for step in steps(path) if "uses" in step]
    assert used
    for action in used:
        assert re.fullmatch(r"actions/[\w-]+@v\d+", action)


@pytest.mark.parametrize("path", WORKFLOWS, ids=NAMES)
def test_a_job_may_write_only_what_it_is_for(path):
    workflow = read(path)
    assert workflow["permissions"] in ({}, {"contents": "read"})
    written = {
        name: {scope for scope, access in job.get("permissions", {}).items() if access == "write"}
        for name, job in workflow["jobs"].items()
    }
    allowed = {"deploy": {"pages", "id-token"}, "notebooks": {"contents"}, "release": {"contents"}}
    assert {name: scopes for name, scopes in written.items() if scopes} == (
        allowed if path.stem == "publish" else {}
    )
    assert all(job["timeout-minutes"] for job in workflow["jobs"].values())


def test_every_supported_python_is_tested_on_linux_and_on_macos():
    matrix = read(ROOT / ".github" / "workflows" / "tests.yml")["jobs"]["tests"]["strategy"]["matrix"]
    assert matrix == {"os": ["ubuntu-latest", "macos-latest"], "python": ["3.11", "3.12", "3.13"]}


def test_no_expression_stands_in_a_script():
    """What a branch is called could otherwise be run: values reach a script as variables."""
    for path in WORKFLOWS:
        for step in steps(path):
            assert "${{" not in step.get("run", ""), path.name


def test_the_weekly_run_takes_the_newest_of_everything():
    scripts = "\n".join(step.get("run", "") for step in steps(ROOT / ".github" / "workflows" / "newest.yml"))
    assert "constraints" not in scripts
    assert "'.[book,service,test]'" in scripts
