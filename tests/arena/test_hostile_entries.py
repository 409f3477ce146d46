"""Entries that mean harm: the judge has a line for each, in time and in little memory, and nothing of them is left."""

import json
import os
import socket
import sys

import psutil
import pytest
import torch

import mea_lib as mea
from mea_lib.arena import limits, sandbox
from mea_lib.arena.defence_spec import read_spec
from mea_lib.arena.entry import EntryFailed, describe, one_line
from mea_lib.arena.entry_process import EntryProcess
from mea_lib.models import PAPER_WIDTH, build_from_spec

ESCAPES = r"""
def remove(model, images, scale):
    print("\033[2J\033]0;the title\007 printed")
    raise ValueError("\033[31mred\u202e\t" + "x" * 10_000)
"""
# A program in the worker's place, that speaks its protocol as long as it likes: an entry can send whatever it can.
WORKER = r"""
import json, os, socket, struct, subprocess, sys, time

judge = socket.socket(fileno=os.dup(0))

def receive():
    (length,) = struct.unpack("!Q", judge.recv(8, socket.MSG_WAITALL))
    return judge.recv(length, socket.MSG_WAITALL)

def send(message, announced=None):
    judge.sendall(struct.pack("!Q", announced or len(message)) + message)

def drips():
    send(b"+", 4_000)
    while True:
        judge.sendall(b".")
        time.sleep(0.01)

def endless():
    send(b"+", 2**40)
    while True:
        judge.sendall(bytes(2**20))

def sleeps():
    time.sleep(600)

def deaf():
    send(b"+")
    time.sleep(600)

def dies():
    send(b"+")
    receive()
    os._exit(7)

def leaves_children():
    for options in ({}, {"start_new_session": True}, {"env": {}, "start_new_session": True}):
        subprocess.Popen([sys.executable, "-c", f"import time; {MARKER!r}; time.sleep(600)"], **options)
    send(b"+")
    receive()

def looks_around():
    seen = [name for name in SECRETS if os.path.exists(name)]
    try:
        socket.create_connection(("127.0.0.1", PORT), 5).close()
        seen.append("network")
    except OSError:
        pass
    try:
        open(os.path.join(os.path.dirname(os.__file__), "written.py"), "w").close()
        seen.append("system")
    except OSError:
        pass
    if PARENT in [int(name) for name in os.listdir("/proc") if name.isdigit()] and os.getpid() > PARENT:
        seen.append("processes")
    open("/tmp/own", "w").close()
    open(os.path.join(os.environ["MEA_STORE"], "own"), "w").close()
    send(f"-saw {seen}, {'JUDGES_TOKEN' in os.environ}".encode())

def huge():
    send(b"+" + json.dumps(SPEC).encode())

receive()
send(b"+")
"""
MODEL = {"classes": 10, "channels": 1, "size": 16, "width": 1, "mean": [0.0], "std": [1.0]}
QUERIES = torch.zeros(20_000, 1, 16, 16, dtype=torch.uint8)
MARKER = f"a child of a hostile entry of {os.getpid()}"


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Let `WORKER` do this in the place of the worker, in the sandbox where there is one; `names` are its constants."""
    (tmp_path / "entry").mkdir()
    path = tmp_path / "entry" / "entry.py"

    def start(what, seconds=60.0, discipline="removal", **names):
        constants = "".join(f"{name} = {value!r}\n" for name, value in names.items())
        path.write_text(f"{constants}{WORKER}{what}()\n")
        monkeypatch.setattr(EntryProcess, "worker", (str(path),))
        return EntryProcess(path, "remove", discipline, seconds)

    return start


@pytest.fixture
def given():
    """What a removal is given."""
    return build_from_spec(SPEC), torch.zeros(2, 1, 16, 16, dtype=torch.uint8), mea.preset("smoke")


@pytest.fixture
def unprotected(monkeypatch):
    """As on a machine without bubblewrap."""
    monkeypatch.setattr("mea_lib.arena.entry_process.why_no_sandbox", lambda: "it is not to be had")


@pytest.mark.parametrize(
    "what, words",
    [
        ("drips", "took longer than the 0.4 s"),
        ("endless", "1,099,511,627,776 bytes was sent"),
        ("sleeps", "took longer than the 0.4 s"),
    ],
)
def test_a_message_that_never_ends_or_never_comes_is_a_line(call, given, what, words):
    memory = psutil.Process().memory_info().rss
    with call(what, seconds=0.4) as entry, pytest.raises(EntryFailed, match=words):
        entry(*given)
    assert psutil.Process().memory_info().rss < memory + 2**28


@pytest.mark.parametrize(
    "what, words, seconds",
    [("deaf", r"took longer than the 0\.4 s", 0.4), ("dies", "its process ended with the code 7", 60)],
)
def test_an_entry_that_does_not_answer_is_a_line(call, given, what, words, seconds):
    with call(what, seconds) as entry:
        ask = entry(*given)
        with pytest.raises(EntryFailed, match=words):
            ask(QUERIES)


def test_what_an_entry_says_is_a_line_and_no_command_to_a_terminal(tmp_path, given, capfd):
    (tmp_path / "entry.py").write_text(ESCAPES)
    with (
        EntryProcess(tmp_path / "entry.py", "remove", "removal", 60) as entry,
        pytest.raises(EntryFailed) as caught,
    ):
        entry(*given)
    words = str(caught.value)
    assert words.startswith("ValueError: [31mred xxx")
    assert words.isprintable()
    assert len(words) <= 300
    printed = capfd.readouterr().err
    assert "[2J ]0;the title printed" in printed
    assert printed.replace("\n", "").isprintable()


@pytest.mark.usefixtures("unprotected")
def test_children_end_with_their_entry_without_a_sandbox(call, given):
    leave_children(call, given)


def test_children_end_with_their_entry(call, given):
    leave_children(call, given)


def leave_children(call, given):
    with call("leaves_children", MARKER=MARKER) as entry:
        entry(*given)
        assert len(children()) == 3
    assert children() == []


def children():
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = process.info["cmdline"] or []
        if any(MARKER in part for part in line) and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(process.pid)
    return found


@pytest.mark.skipif(sandbox.why_no_sandbox() is not None, reason="bubblewrap does not work on this machine")
def test_the_sandbox_hides_the_judge(call, given, tmp_path, monkeypatch):
    monkeypatch.setenv("JUDGES_TOKEN", "secret")
    secrets = [tmp_path / "secret.txt", tmp_path / "entry" / "secret.txt", tmp_path / "entry" / "arena.json"]
    for path in secrets:
        path.write_text("secret")
    with socket.create_server(("127.0.0.1", 0)) as server:
        names = {"SECRETS": [*map(str, secrets), __file__], "PORT": server.getsockname()[1]}
        process = call("looks_around", **names, PARENT=psutil.Process().pid)
        with process as entry, pytest.raises(EntryFailed) as caught:
            entry(*given)
    assert str(caught.value) == "saw [], False"


def test_a_machine_without_a_sandbox_says_why(monkeypatch, tmp_path):
    why = sandbox.why_no_sandbox.__wrapped__
    monkeypatch.setenv("PATH", str(tmp_path))
    assert why() == "bubblewrap (the program bwrap) is not on this machine"
    (tmp_path / "bwrap").write_text(f"#!{sys.executable}\nraise SystemExit('no permission')\n")
    (tmp_path / "bwrap").chmod(0o755)
    assert why() == "bubblewrap does not work here: no permission"


def test_a_defence_whose_network_is_too_large_is_a_line(call, digits):
    spec = {"network": "nine_layer_cnn"} | MODEL | {"width": 10**9}
    key = mea.WatermarkKey(("3", "7"), "1")
    with (
        call("huge", discipline="defence", SPEC=spec) as entry,
        pytest.raises(EntryFailed, match="from 1 to 64"),
    ):
        entry(digits.owner, key, mea.preset("smoke"), 0)


SPEC = {"network": "nine_layer_cnn", **MODEL}
WRONG_SPECS = {
    "is no JSON": "[" * 4_000,
    "it has list": [],
    "it has kind": {"kind": "encoder"},
    "must be one of nine_layer_cnn": SPEC | {"network": "autoencoder"},
    "returned a classifier for {'classes': 1000000000": SPEC | {"classes": 10**9},
    "'channels': 4096": SPEC | {"channels": 4096},
    "'size': 10000000": SPEC | {"size": 10_000_000},
    "'classes': 10.0": SPEC | {"classes": 10.0},
    "not 65": SPEC | {"width": PAPER_WIDTH + 1},
    "not 0": SPEC | {"width": 0},
    "not True": SPEC | {"width": True},
    "its mean must be 1 finite": SPEC | {"mean": [0.0, 0.0]},
    "its std must be 1 finite": SPEC | {"std": [float("nan")]},
}


@pytest.mark.parametrize("words", WRONG_SPECS)
def test_a_spec_is_bounded_before_anything_is_built(digits, words):
    spec = WRONG_SPECS[words]
    message = spec.encode() if isinstance(spec, str) else json.dumps(spec).encode()
    with pytest.raises(EntryFailed) as caught:
        read_spec(message, digits.owner)
    assert words in str(caught.value)


def test_a_spec_of_this_book_is_what_it_was(digits):
    model = build_from_spec(SPEC | {"width": PAPER_WIDTH})
    assert read_spec(json.dumps(model.spec).encode(), digits.owner) == model.spec


def test_an_error_that_cannot_be_told_is_told_by_its_name():
    class Mean(Exception):
        def __str__(self):
            raise SystemExit

    assert describe(Mean()) == "Mean"
    assert one_line("a\u2028b\x00\x9bc\ud800" + "y" * 500) == "a b c " + "y" * 293 + "…"


def test_limits_leave_room_for_torch():
    found = limits.entry_limits()
    assert found["RLIMIT_NPROC"] > limits.PROCESSES
    assert found.get("RLIMIT_AS", limits.LEAST_MEMORY) >= limits.LEAST_MEMORY
