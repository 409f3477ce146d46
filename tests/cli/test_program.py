"""The program at its door: help, version, exit codes, what goes to which stream."""

import contextlib
import fcntl
import json
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import typer

from mea_lib import names
from mea_lib.cli import app, main, store

sys.path.insert(0, str(Path(__file__).parent))

from processes import start

ROOT = Path(__file__).parent.parent.parent
COMMANDS = ("commit", "embed", "extract", "verify", "serve", "store", "arena")
STORE_COMMANDS = ("list", "show", "path", "remove", "verify")
ARENA_COMMANDS = ("run", "show")


@pytest.mark.parametrize(
    "command",
    [[name] for name in COMMANDS]
    + [["store", name] for name in STORE_COMMANDS]
    + [["arena", name] for name in ARENA_COMMANDS],
)
def test_every_command_says_what_it_does_with_an_example(mea, command):
    text = mea(*command, "--help").stdout
    assert re.search(rf"Examples?:\n +.*mea {' '.join(command)}", text), text
    for option in re.findall(r"^  (--[a-z-]+) .*\n\n", text, re.M):
        pytest.fail(f"{option} says nothing")


def test_help_lists_the_commands_and_the_exit_codes(mea):
    text = mea("--help").stdout
    listed = re.findall(r"^  ([a-z]+) ", text[text.index("Commands:") :], re.M)
    assert tuple(listed) == COMMANDS
    assert "..." not in text[text.index("Commands:") :]  # no first sentence is cut off
    for code in ("0", "1", "2", "3", "4", "130"):
        assert re.search(rf"^ +{code} +\w", text, re.M)


NEEDS_NO_TORCH = """
import sys
from mea_lib import names
from mea_lib.cli import main
sys.argv = ["mea", *sys.argv[1:]]
try:
    main()
except SystemExit as end:
    print(end.code, sorted({"torch", "numpy", "scipy", "rich"} & sys.modules.keys()))
"""


@pytest.mark.parametrize(
    "command", [["--help"], ["embed", "--help"], ["store", "list"], ["extract", "--model"], []]
)
def test_what_needs_no_torch_does_not_wait_for_it(command):
    run = [sys.executable, "-c", NEEDS_NO_TORCH, *command]
    asked = {"_MEA_COMPLETE": "complete_bash", "COMP_WORDS": "mea\nembed\n--target\nS", "COMP_CWORD": "3"}
    environment = os.environ | ({} if command else asked)
    found = subprocess.run(run, env=environment, capture_output=True, text=True, check=True)
    found = found.stdout.splitlines()[-1]
    assert found == ("2 []" if command == ["extract", "--model"] else "0 []")


def test_the_names_that_can_be_chosen_mean_something():
    from mea_lib.data import known, load
    from mea_lib.models import Input, build

    form = {"classes": 2, "inputs": Input(1, 32, [0.0], [1.0]), "width": 1}
    for network in names.NETWORKS:
        assert build(network, **form).spec["network"] == network
    assert set(names.DATA_SETS) == {*known.KINDS, "digits"}
    assert set(names.CLASSES) < set(names.DATA_SETS)
    assert names.CLASSES["digits"] == load("digits").test.classes


def test_the_script_is_the_program():
    target = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["mea"]
    module, _, name = target.partition(":")
    assert getattr(import_module(module), name) is main


def test_python_m_runs_it_under_its_name(shell):
    found = shell("verify", code=2)
    assert found.stdout == ""
    assert "Usage: mea verify" in found.stderr
    assert shell("--version").stdout.startswith("mea ")


def test_no_command_is_a_usage_error_that_shows_the_help(mea):
    assert "Commands:" in (found := mea(code=2)).stderr + found.stdout
    assert "Commands:" in (found := mea("store", code=2)).stderr + found.stdout


def test_an_unknown_scale_in_the_variable_is_a_usage_error(mea, monkeypatch):
    monkeypatch.setenv("MEA_SCALE", "huge")
    found = mea("embed", "--sources", "3", "7", "--target", "1", "--data", "digits", code=2)
    assert "huge" in found.stderr
    assert found.stdout == ""


def fail_with(monkeypatch, error):
    def broken():
        raise error

    monkeypatch.setattr(store, "stored_ids", broken)


@pytest.mark.parametrize(
    "error, words",
    [
        (ValueError("the answer is wrong; ask again"), "Error: the answer is wrong; ask again"),
        (PermissionError(13, "Permission denied", "/store"), "Error: /store: Permission denied"),
        (KeyError("spec"), "Error: unexpected KeyError: 'spec'; --debug shows where"),
    ],
)
def test_a_failure_is_one_sentence(mea, monkeypatch, error, words):
    fail_with(monkeypatch, error)
    found = mea("store", "list", code=1)
    assert found.stderr.strip() == words
    assert found.stdout == ""


def test_debug_shows_where_an_error_came_from(mea, monkeypatch):
    fail_with(monkeypatch, ValueError("wrong"))
    assert "in broken\n" in mea("store", "list", "--debug", code=1).stderr
    monkeypatch.setenv("MEA_DEBUG", "1")
    assert "in broken\n" in mea("store", "list", code=1).stderr


def test_an_interruption_is_no_failure(mea, monkeypatch):
    fail_with(monkeypatch, KeyboardInterrupt())
    found = mea("store", "list", code=130)
    assert found.stderr.startswith("Interrupted")
    assert "Traceback" not in found.stderr


def test_ctrl_c_in_the_middle_of_a_training(tmp_path):
    options = ["--sources", "3", "7", "--target", "1", "--data", "digits", "--epochs", "100000", "--json"]
    process = start("embed", *options)
    assert process.stderr.readline().startswith("runner-up at scale smoke")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert "Interrupted" in err
    assert "Traceback" not in err
    assert not list((tmp_path / "store").glob("*.json"))


def test_bars_are_for_terminals_and_stay_off_stdout(made, digits):
    """stderr is a terminal of 24 lines here, stdout is not."""
    terminal, its_end = os.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    options = ["--model", made.embed["out"], "--data", "digits", "--json"]
    process = start("extract", *options, stderr=its_end)
    os.close(its_end)
    shown = b""
    with contextlib.suppress(OSError):  # which is how a terminal says that nobody writes to it any more
        while part := os.read(terminal, 9_999):
            shown += part
    os.close(terminal)
    assert json.loads(process.communicate(timeout=60)[0])["queries"] == len(digits.queries)
    assert b"querying: " in shown
    assert b"Distillation: " in shown


def test_a_reader_that_stops_reading_is_no_error(tmp_path):
    command = f"{sys.executable} -m mea_lib.cli embed --help | head -n 1"
    found = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert found.stdout == "Usage: mea embed [OPTIONS]\n"
    assert "Traceback" not in found.stderr


def every_command():
    program = typer.main.get_command(app)
    for name, command in program.commands.items():
        nested = getattr(command, "commands", None)
        yield from ((f"{name} {own}", nested[own]) for own in nested) if nested else [(name, command)]


def test_every_command_can_answer_in_json_and_be_debugged():
    for name, command in every_command():
        names = {option for parameter in command.params for option in parameter.opts}
        assert {"--json", "--debug"} <= names, name
