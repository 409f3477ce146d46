"""What a newcomer types, and what it installs."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from packaging.markers import Marker

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

LINUX = {
    **{"implementation_name": "cpython", "platform_python_implementation": "CPython"},
    **{"sys_platform": "linux", "os_name": "posix", "platform_machine": "x86_64"},
}


def disk(gib):
    """A `df` that finds this much room."""
    return f"printf 'h\\nd 1 1 {gib * 2**20} 1 /\\n'"


def normal(requirement):
    return re.sub(r"[-_.]+", "-", re.split(r"[<>=!~\[; ]", requirement)[0]).lower()


def test_every_dependency_has_an_exact_version():
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", line) for line in lines)
    pinned = {normal(line) for line in lines}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    named = {normal(requirement) for group in groups for requirement in group}
    assert named - {"mea-lib"} <= pinned


def hashed(purpose):
    """Of the file with checksums: the version of each package, its condition and how many files it has."""
    found = {}
    for block in re.split(r"\n(?=\S)", (ROOT / "hashes" / f"{purpose}.txt").read_text()):
        head, *files = block.strip().split(" \\\n")
        pin, _, condition = head.partition(" ; ")
        name, version = pin.split("==")
        assert all(re.fullmatch(r" *--hash=sha256:[0-9a-f]{64}", file) for file in files), name
        found[normal(name)] = (version, condition, len(files))
    return found


@pytest.mark.parametrize("purpose", ["read", "book", "test"])
def test_what_is_installed_has_checksums_in_the_pinned_versions(purpose):
    pins = dict(
        line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    )
    pins = {normal(name): version for name, version in pins.items()}
    found = hashed(purpose)
    assert all(files for _, _, files in found.values())
    for name, (version, condition, _) in found.items():
        if (
            name not in pins
        ):  # for Windows and PyPy, on which nothing here runs, or a GPU library, which torch pins
            applies = not condition or Marker(condition).evaluate(LINUX)
            assert not applies or re.match("cuda-|nvidia-|triton$", name), (
                f"{name} is in no line of constraints.txt"
            )
        else:
            assert pins[name] == version, f"{name}: run make hashes"
    if purpose == "test":
        assert pins.keys() <= found.keys(), "pins that nothing installs"
    extras = {"read": ["read"], "book": ["book", "service"], "test": ["book", "service", "test"]}[purpose]
    named = {normal(one) for extra in extras for one in PROJECT["optional-dependencies"][extra]}
    assert named - {"mea-lib"} <= found.keys()
    assert ("torch" in found) == (purpose != "read")


def test_what_builds_the_package_is_pinned():
    built_with = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    pins = (ROOT / "constraints.txt").read_text().splitlines()
    assert built_with
    assert all(tool in pins for tool in built_with)


def test_conda_users_install_the_same():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert pip == ["-c constraints.txt", "-e .[book,test,service]", "jupyterlab"]


def test_commands_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    commands = set(re.findall(r"^make ([a-z]+)", (ROOT / "README.md").read_text(), re.M))
    assert {"read", "book", "test"} <= commands
    for command in commands:
        assert re.search(rf"^{command}:.*## ", makefile, re.M), command


def test_ci_runs_the_readmes_test_command():
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("exec make test")


def test_help_lists_the_commands():
    text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for command in ("read", "book", "test", "lint", "refresh", "bench", "study", "clean"):
        assert f"make {command}" in text


def start_setup(tmp_path, purpose="book", **variables):
    command = ["bash", str(ROOT / "book" / "setup_environment.sh"), str(tmp_path / "venv"), purpose]
    environment = {"PATH": f"{tmp_path}/bin:/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path)} | variables
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "hashes", tmp_path / "hashes", dirs_exist_ok=True)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=tmp_path, env=environment, **pipes)


def setup(tmp_path, purpose="book", **variables):
    started = start_setup(tmp_path, purpose, **variables)
    said, complained = started.communicate(timeout=60)
    return SimpleNamespace(returncode=started.returncode, stdout=said, stderr=complained)


def fake(tmp_path, name, script):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/bash\n" + script)
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
        ({"df": disk(gib=2)}, {}, "only 2 GiB are free here and about 4 are needed; make room"),
        ({"df": disk(gib=0)}, {"purpose": "read"}, "only 0 GiB are free here and about 1 are needed"),
        (
            {"bare": 'case "$2" in *ensurepip*) exit 1;; *) exit 0;; esac'},
            {"PYTHON": "bare"},
            "apt-get install python3-venv",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(tmp_path, fakes, variables, message):
    for name, script in fakes.items():
        fake(tmp_path, f"bin/{name}", script)
    found = setup(tmp_path, **variables)
    assert found.returncode == 1
    assert message in found.stderr
    assert len(found.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "venv").exists()


def install_that_fails(tmp_path, words):
    fake(tmp_path, "venv/bin/pip", f'echo "{words}"; exit 1')
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
    words = "pip met something that nobody expected"
    shown, line = install_that_fails(tmp_path, words)
    assert shown == words
    assert "failed as shown above" in line


# Notes how it is called, knows no torch that is installed, and has CPU builds where the variable says so.
PIP = """
echo "$@" >>log
case "$*" in
show*) exit "${TORCH_IS_THERE:-1}" ;;
*+cpu*) [ -n "${CPU_BUILDS:-}" ] || { echo "ERROR: No matching distribution found for torch"; exit 1; } ;;
esac
sleep "${PIP_SLEEPS:-0}"
"""
without_gpu = pytest.mark.skipif(Path("/proc/driver/nvidia/gpus").exists(), reason="this machine has a GPU")


def installed(tmp_path):
    """What pip was asked to install, without the options that are always there."""
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if line.startswith("install")]
    return [line.removeprefix("install --quiet --retries 2 ") for line in lines]


@without_gpu
def test_without_a_gpu_torchs_cpu_build_is_taken_where_there_is_one(tmp_path):
    fake(tmp_path, "venv/bin/pip", PIP)
    found = setup(tmp_path, CPU_BUILDS="1", TORCH_INDEX="https://index")
    assert found.returncode == 0, found.stderr
    assert "there is no GPU, so the CPU build of torch was installed: torch==" in found.stdout
    cpu_builds, book = installed(tmp_path)
    pinned = r"torch==[\d.]+\+cpu torchvision==[\d.]+\+cpu"
    assert re.fullmatch(rf"--index-url https://index --no-deps {pinned}", cpu_builds)
    assert book == "-c constraints.txt -e .[book,service]"


@without_gpu
def test_without_a_cpu_build_the_ordinary_one_is_taken_if_there_is_room(tmp_path):
    fake(tmp_path, "venv/bin/pip", PIP)
    found = setup(tmp_path)
    assert found.returncode == 0, found.stderr
    assert "pip finds no CPU build" in found.stdout
    assert installed(tmp_path)[-1] == "-c constraints.txt -e .[book,service]"
    (tmp_path / "venv" / ".ready-book").unlink()
    fake(tmp_path, "bin/df", disk(gib=5))
    found = setup(tmp_path)
    assert found.returncode == 1
    assert "only 5 GiB are free here and about 9 are needed; make room; set TORCH_INDEX" in found.stderr


@pytest.mark.parametrize("there", ["a GPU", "torch"])
def test_with_a_gpu_or_with_torch_nothing_is_chosen(tmp_path, there):
    fake(tmp_path, "venv/bin/pip", PIP)
    fake(tmp_path, "bin/df", disk(gib=20))
    if there == "a GPU":
        fake(tmp_path, "bin/nvidia-smi", "exit 0")
    found = setup(tmp_path, "test", TORCH_IS_THERE="0" if there == "torch" else "1")
    assert found.returncode == 0, found.stderr
    assert ("there is a GPU, so torch is installed with its GPU libraries" in found.stdout) == (
        there == "a GPU"
    )
    assert installed(tmp_path) == ["-c constraints.txt -e .[book,service,test]"]


def test_the_index_for_torch_is_asked_for_nothing_else(tmp_path):
    """Whoever can publish there a package of another's name would have it installed."""
    fake(tmp_path, "venv/bin/pip", PIP)
    fake(tmp_path, "bin/df", disk(gib=20))
    found = setup(tmp_path, "test", TORCH_INDEX="https://index")
    assert found.returncode == 0, found.stderr
    *torch, others = installed(tmp_path)
    assert others == "-c constraints.txt -e .[book,service,test]"
    for line in torch:
        assert re.fullmatch(
            r"--index-url https://index --no-deps torch==[\d.]+(\+cpu)? torchvision==[\d.]+(\+cpu)?", line
        )
    assert torch[-1].count("+cpu") == 0, "what the index has where it has no CPU builds"


def test_with_checksums_nothing_is_installed_that_has_none(tmp_path):
    makes = 'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp pip "$3/bin"; else exec python3 "$@"; fi'
    fake(tmp_path, "bin/maker", makes)
    fake(tmp_path, "bin/df", disk(gib=20))
    fake(tmp_path, "pip", PIP)
    for purpose in ("read", "test"):
        found = setup(tmp_path, purpose, PYTHON="maker", REQUIRE_HASHES="1")
        assert found.returncode == 0, found.stderr
        build_tools, packages, *package = installed(tmp_path)
        (tmp_path / "log").unlink()
        file = build_tools.removeprefix("--require-hashes -r ")
        tools = (tmp_path / file).read_text()
        assert re.fullmatch(r"setuptools==[\d.]+ \\\n(    --hash=sha256:[0-9a-f]{64}( \\)?\n)+", tools)
        assert packages == f"--require-hashes --no-build-isolation -r hashes/{purpose}.txt"
        assert package == ([] if purpose == "read" else ["--no-deps --no-build-isolation -e ."])


def test_an_environment_made_without_checksums_is_not_taken_for_one_with(tmp_path):
    fake(tmp_path, "venv/bin/pip", PIP)
    assert setup(tmp_path, "read").returncode == 0
    found = setup(tmp_path, "read", REQUIRE_HASHES="1")
    assert found.returncode == 1
    assert "venv was made without checksums; remove it (rm -r " in found.stderr


def test_another_index_for_torch_and_checksums_exclude_each_other(tmp_path):
    found = setup(tmp_path, REQUIRE_HASHES="1", TORCH_INDEX="https://index")
    assert found.returncode == 1
    assert "leave out TORCH_INDEX or REQUIRE_HASHES" in found.stderr


def test_make_asks_the_script_where_checksums_are_wanted_of_a_ready_environment():
    command = ["make", "--dry-run", "read", "REQUIRE_HASHES=1"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert re.search(r"REQUIRE_HASHES=1\b.*setup_environment\.sh", said.replace("\\\n", " "))


def test_reading_needs_the_packages_of_its_extra_and_nothing_else(tmp_path):
    fake(tmp_path, "venv/bin/pip", PIP)
    found = setup(tmp_path, "read")
    assert found.returncode == 0, found.stderr
    (asked,) = installed(tmp_path)
    file = Path(asked.removeprefix("-c constraints.txt -r "))
    assert file.read_text().splitlines() == PROJECT["optional-dependencies"]["read"]
    assert "mea-lib[read]" in PROJECT["optional-dependencies"]["book"]


def test_of_two_at_once_one_installs_and_the_other_waits(tmp_path):
    fake(tmp_path, "venv/bin/pip", PIP)
    both = [start_setup(tmp_path, TORCH_IS_THERE="0", PIP_SLEEPS="1.5") for _ in range(2)]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("another process is at work on this environment, waiting" in out for out, _ in said) == [
        False,
        True,
    ]
    assert installed(tmp_path) == ["-c constraints.txt -e .[book,service]"]


def test_a_half_made_environment_is_completed_and_not_removed(tmp_path):
    (tmp_path / "venv" / "lib").mkdir(parents=True)
    (tmp_path / "venv" / "lib" / "in_use.so").touch()
    (tmp_path / "pip").write_text("#!/bin/bash\n" + PIP)
    makes = 'if [ "$2" = venv ]; then mkdir -p "$3/bin"; cp pip "$3/bin"; chmod +x "$3/bin/pip"; '
    fake(tmp_path, "bin/maker", makes + 'else exec python3 "$@"; fi')
    found = setup(tmp_path, "read", PYTHON="maker")
    assert found.returncode == 0, found.stderr
    assert (tmp_path / "venv" / "lib" / "in_use.so").exists()
    assert (tmp_path / "venv" / ".ready-read").exists()
