"""Completion in a shell: the scripts are valid, and what they ask is answered without torch."""

import os
import shutil
import subprocess
import sys

import pytest

from mea_lib.models import Input, build
from mea_lib.training import current_store

SPEC = {"classes": 3, "inputs": Input(1, 16, (0.0,), (1.0,)), "width": 1}


def ask(**variables):
    command = [sys.executable, "-m", "mea_lib.cli"]
    environment = os.environ | variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout


@pytest.mark.parametrize(
    "name, checker", [("bash", ["bash", "-n"]), ("zsh", ["zsh", "-n"]), ("fish", ["fish", "-n"])]
)
def test_the_scripts_are_valid(tmp_path, name, checker):
    script = ask(_MEA_COMPLETE=f"source_{name}")
    assert "_MEA_COMPLETE" in script
    assert "mea" in script
    if shutil.which(checker[0]) is None:
        pytest.skip(f"{name} is not on this machine")
    (tmp_path / "script").write_text(script)
    subprocess.run([*checker, tmp_path / "script"], check=True)


def test_show_completion_prints_the_script_of_the_shell_it_is_run_from(tmp_path):
    command = f"{sys.executable} -m mea_lib.cli --show-completion; true"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ask(_MEA_COMPLETE="source_bash").strip()


def complete(mea, line):
    """What bash would offer for the last word of this line."""
    words = line.split(" ")
    asked = {
        "_MEA_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(len(words) - 1),
    }
    return mea(env=asked, prog_name="mea").stdout.splitlines()


@pytest.mark.parametrize(
    "line, offered",
    [
        ("mea e", ["embed", "extract"]),
        ("mea store re", ["remove"]),
        ("mea arena r", ["run"]),
        ("mea arena run f.py --discipline d", ["defence"]),
        ("mea arena run f.py --data d", ["digits"]),
        ("mea embed --scale l", ["laptop"]),
        ("mea embed --network res", ["resnet18", "resnet50"]),
        ("mea embed --data d", ["digits"]),
        ("mea embed --target S", ["Sandal", "Shirt", "Sneaker"]),
        ("mea embed --target Ank", ["Ankle\\ boot"]),
        ("mea embed --data stl-10 --target d", ["deer", "dog"]),
        ("mea embed --data digits --sources 3 4", ["4"]),
        ("mea extract --attack d", ["distillation", "data-free"]),
    ],
)
def test_what_is_offered(mea, line, offered):
    assert complete(mea, line) == offered


def test_classes_of_ones_own_folder(mea, tmp_path):
    for name in ("cat", "cow", "dog"):
        (tmp_path / "own" / "train" / name).mkdir(parents=True)
    assert complete(mea, "mea embed --data own --target c") == ["cat", "cow"]


def test_models_of_the_store(mea):
    identity = current_store().fetch({"method": "test"}, lambda: build("nine_layer_cnn", **SPEC)).card["id"]
    for line in (
        "mea extract --model",
        "mea verify --key k --model",
        "mea store show",
        "mea store remove --yes",
    ):
        assert complete(mea, f"{line} {identity[:2]}") == [identity]


def test_completion_works_in_bash_itself(tmp_path):
    """The script, sourced by bash, with bash's own variables."""
    (tmp_path / "mea").write_text(f'#!/bin/sh\nexec {sys.executable} -m mea_lib.cli "$@"\n')
    (tmp_path / "mea").chmod(0o755)
    (tmp_path / "script").write_text(ask(_MEA_COMPLETE="source_bash"))
    lines = [
        f"PATH={tmp_path}:$PATH; source {tmp_path}/script",
        'COMP_WORDS=(mea embed --target Ank); COMP_CWORD=3; _mea_completion mea; printf "%s\\n" "${COMPREPLY[@]}"',
    ]
    found = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
    assert found.stdout == "Ankle\\ boot\n"
