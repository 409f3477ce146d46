"""What a newcomer types, and what it installs."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def normal(requirement):
    return re.split(r"[<>=!~\[; ]", requirement)[0].lower().replace("_", "-")


def test_every_dependency_has_an_exact_version():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {normal(line) for line in lines}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    assert {normal(requirement) for group in groups for requirement in group} <= pinned


def test_conda_users_install_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == ["-c constraints.txt", "-e .[book,test,service]"]


def test_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"^make ([a-z]+)", (ROOT / "README.md").read_text(), re.M))
    assert {"book", "test"} <= commands
    for command in commands:
        assert re.search(rf"^{command}:.*## ", makefile, re.M), command


def test_ci_runs_the_readmes_test_command():
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("exec make test")


def test_help_lists_the_commands():
    text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for command in ("book", "test", "lint", "refresh", "bench", "study", "clean"):
        assert f"make {command}" in text


def setup(tmp_path, **variables):
    command = ["bash", str(ROOT / "book" / "setup_environment.sh"), str(tmp_path / "venv")]
    environment = {"PATH": f"{tmp_path}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)} | variables
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def fake(tmp_path, name, script):
    (tmp_path / "bin").mkdir(exist_ok=True)
    path = tmp_path / "bin" / name
    path.write_text("#!/bin/sh\n" + script)
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("fakes", "variables", "message"),
    [
        ({}, {"PYTHON": "python9.9"}, "python9.9 was not found; install Python 3.11"),
        (
            {"oldpython": 'case "$1" in --version) echo Python 3.8.1;; *) exit 1;; esac'},
            {"PYTHON": "oldpython"},
            "Python 3.8.1 is not supported",
        ),
        ({"df": "printf 'h\\nd 1 1 5242880 1 /\\n'"}, {}, "only 5 GiB are free"),
        (
            {"df": "printf 'h\\nd 1 1 2097152 1 /\\n'"},
            {"TORCH_INDEX": "https://index"},
            "only 2 GiB are free here and about 4",
        ),
        (
            {"bare": 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac'},
            {"PYTHON": "bare"},
            "apt-get install python3-venv",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(tmp_path, fakes, variables, message):
    for name, script in fakes.items():
        fake(tmp_path, name, script)
    found = setup(tmp_path, **variables)
    assert found.returncode == 1
    assert message in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "venv").exists()


def install_that_fails(tmp_path, words):
    pip = tmp_path / "venv" / "bin" / "pip"
    pip.parent.mkdir(parents=True)
    pip.write_text(f'#!/bin/sh\necho "{words}"; exit 1\n')
    pip.chmod(0o755)
    found = setup(tmp_path)
    assert found.returncode == 1
    return found.stderr.splitlines()


@pytest.mark.parametrize(
    "words",
    [
        "WARNING: Retrying after connection broken by 'NewConnectionError(Connection refused)'",
        "[Errno -3] Temporary failure in name resolution",
        "ReadTimeoutError: Read timed out.",
    ],
)
def test_no_network_is_said_in_one_sentence(tmp_path, words):
    (line,) = install_that_fails(tmp_path, words)
    assert "packages could not be fetched; check the connection" in line


def test_another_failure_of_the_installation_is_shown(tmp_path):
    words = "pip's dependency resolver found conflicting dependencies"
    shown, line = install_that_fails(tmp_path, words)
    assert shown == words
    assert "failed as shown above" in line
