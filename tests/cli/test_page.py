"""The page of the book about the command line says what the program does, no less and no more."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from mea_lib.cli import app
from mea_lib.cli.report import FAILURE, INTERRUPTED, NO_PROOF, NO_VERDICT

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "book" / "cli.md").read_text()
COMMON = {"--json", "--debug", "--help"}
PROGRAM = typer.main.get_command(app)
COMMANDS = dict(PROGRAM.commands)
GROUPS = [name for name, command in COMMANDS.items() if hasattr(command, "commands")]


def section(name):
    return re.split(r"^## ", PAGE.split(f"## mea {name}\n")[1], flags=re.M)[0]


def options_of(command):
    nested = getattr(command, "commands", {})
    own = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    return own.union(*(options_of(one) for one in nested.values())) - COMMON


@pytest.mark.parametrize("name", COMMANDS)
def test_the_options_on_the_page_are_those_of_the_command(name):
    table = [line for line in section(name).splitlines() if line.startswith("|")]
    on_the_page = set(re.findall(r"`(--[a-z-]+)`", "\n".join(table)))
    assert on_the_page == options_of(COMMANDS[name])


def test_every_command_is_on_the_page():
    assert re.findall(r"^## mea ([a-z]+)$", PAGE, re.M) == list(COMMANDS)
    for group in GROUPS:
        for name in COMMANDS[group].commands:
            assert f"`mea {group} {name}`" in section(group)


def test_what_all_commands_share_is_said_once():
    common = PAGE.split("## What all commands have in common")[1].split("\n## ")[0]
    for word in (*COMMON, "--version", "--install-completion", "--show-completion"):
        assert word in common
    for variable in ("MEA_STORE", "MEA_DATA", "MEA_SCALE", "MEA_TOKEN", "MEA_DEBUG"):
        assert f"`{variable}`" in common
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", common, re.M)}
    assert codes == {0, 2, FAILURE, NO_PROOF, NO_VERDICT, INTERRUPTED}


def examples():
    texts = [PAGE, (ROOT / "README.md").read_text()]
    texts += [command.help for command in COMMANDS.values()] + [PROGRAM.help]
    texts += [command.help for group in GROUPS for command in COMMANDS[group].commands.values()]
    joined = "\n".join(texts).replace("\\\n", " ")
    return sorted(set(re.findall(r"^ *(?:cp \"\$\()?(mea [a-z][^#\n\)]*)", joined, re.M)))


@pytest.mark.parametrize("line", examples())
def test_every_example_is_a_command_line_that_is_understood(line, tmp_path, made):
    for name in ("key.json", "salt.txt", "commitment.json"):
        (tmp_path / name).write_text((made.folder / name).read_text())
    for name in ("tokens.txt", "secret.txt", "remove.py", "defend.py"):
        (tmp_path / name).write_text("")
    (tmp_path / "scraped").mkdir()
    name, *arguments = shlex.split(line)[1:]
    command = COMMANDS[name]
    if hasattr(command, "commands"):
        command, arguments = command.commands[arguments[0]], arguments[1:]
    command.make_context(name, arguments)  # raises where the line is not understood


def test_there_are_examples():
    assert len(examples()) > 20
