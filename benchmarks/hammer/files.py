"""Files that are not what an option of the command line asks for: damaged, endless, of another kind, hostile."""

import io
import json
import os
import random
import resource
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from PIL import Image

from mea_lib.cli import main
from mea_lib.training import use_store

SECONDS = 60
MIB_AT_MOST = 1024  # that a command may take for a file that it then refuses
CLASSES = 3
KEY = ("--sources", "3", "7", "--target", "1", "--key-seed", "5")
SMALL = ("--data", "digits", "--scale", "smoke", "--width", "2", "--epochs", "1")
REFUSED, USED = (1, 2), (0, 3, 4)


@dataclass(frozen=True)
class Slot:
    """One place for a file.

    Attributes:
        name: what the file is there.
        file: the name it gets.
        sound: what a good one holds.
        command: words of a command with the file at a path.
        beside: ending and content of a sound file next to it, such as a model's card.
    """

    name: str
    file: str
    sound: bytes
    command: Callable[[Path], list]
    beside: tuple[str, bytes] | None = None


def strike(files: int = 250, seed: int = 0) -> dict:
    """Give so many bad files to the command line, every kind in every place, each in a process of its own.

    Args:
        files: in all.
        seed: of what is damaged, and how.

    Returns:
        What was tried, and under `must_be_none` commands that did not end within a minute, that took more than a
        gibibyte, that ended by a signal or with a traceback, and errors that do not name the file.
    """
    draw = random.Random(seed)
    broken = {"hangs": 0, "exhausted memory": 0, "crashes": 0, "nameless errors": 0}
    tried: dict[str, int] = {}
    examples = []
    with tempfile.TemporaryDirectory() as folder, use_store(Path(folder, "store")):
        home = Path(folder)
        os.environ |= {
            "MEA_STORE": str(home / "store"),
            "MEA_CACHE": str(home / "cache"),
            "MEA_SCALE": "smoke",
        }
        slots = _slots(home)
        for number in range(files):
            slot, kind = slots[number % len(slots)], KINDS[number // len(slots) % len(KINDS)]
            place = home / f"bad-{number}"
            place.mkdir()
            path = place / slot.file
            if slot.beside:
                ending, content = slot.beside
                path.with_suffix(ending).write_bytes(content)
            release = kind(path, slot.sound, draw)
            code, said, mib = _run(slot.command(path), place / "said")
            if release:
                release()
            tried[slot.name] = tried.get(slot.name, 0) + 1
            outcomes = {
                "hangs": code == -signal.SIGALRM,
                "exhausted memory": mib > MIB_AT_MOST,
                "crashes": code not in (*REFUSED, *USED, -signal.SIGALRM) or "Traceback" in said,
                "nameless errors": code in REFUSED and path.name not in said and place.name not in said,
            }
            for what, happened in outcomes.items():
                broken[what] += happened
            if any(outcomes.values()):
                what = next(what for what, happened in outcomes.items() if happened)
                examples.append(f"{slot.name}, {kind.__name__.strip('_')}: {what}: {said.strip()[-200:]}")
    return {"tried": {"files": files, "places": tried, "kinds": len(KINDS)}, "must_be_none": broken} | (
        {"examples": examples} if examples else {}
    )


def _slots(home: Path) -> list[Slot]:
    """Every place, with good files that the commands themselves have written."""
    key, salt, commitment, table = (
        home / name for name in ("key.json", "salt.txt", "commitment.json", "table.json")
    )
    model, script = home / "victim.safetensors", home / "script.pt"
    outputs = ["--key-out", key, "--salt-out", salt, "--commitment-out", commitment]
    for words in (
        ["commit", *KEY, "--data", "digits", *outputs],
        ["embed", "--key", key, *SMALL, "--out", model],
    ):
        code, said, _ = _run(words, home / "said")
        if code:
            raise RuntimeError(f"the good files could not be made: {said}")
    torch.jit.script(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 10))).save(str(script))
    table.write_text(json.dumps({"removal": [], "defence": []}))
    picture = io.BytesIO()
    Image.new("L", (16, 16), 128).save(picture, "PNG")
    how = ["--data", "digits"]
    weights, card = model.read_bytes(), model.with_suffix(".json").read_bytes()
    return [
        Slot("key", "key.json", key.read_bytes(), lambda p: ["commit", "--key", p, *how, *_beside(p)]),
        Slot("key of a verification", "key.json", key.read_bytes(), lambda p: _verify(p, model)),
        Slot("model", "m.safetensors", weights, lambda p: _verify(key, p), (".json", card)),
        Slot("card", "m.json", card, lambda p: _verify(key, p), (".safetensors", weights)),
        Slot("TorchScript", "m.pt", script.read_bytes(), lambda p: _verify(key, p)),
        Slot("ONNX", "m.onnx", b"\x08\x07\x12\x07pytorch", lambda p: _verify(key, p)),
        Slot(
            "commitment",
            "commitment.json",
            commitment.read_bytes(),
            lambda p: [*_verify(key, model), "--commitment", p, "--salt-file", salt],
        ),
        Slot(
            "salt",
            "salt.txt",
            salt.read_bytes(),
            lambda p: [*_verify(key, model), "--commitment", commitment, "--salt-file", p],
        ),
        Slot("table", "table.json", table.read_bytes(), lambda p: ["arena", "show", "--table", p]),
        Slot(
            "image",
            "a.png",
            picture.getvalue(),
            lambda p: ["commit", *KEY, "--data", _folder(p), *_beside(p)],
        ),
    ]


def _verify(key: Path, model: Path) -> list:
    return ["verify", "--key", key, "--model", model, "--data", "digits"]


def _beside(path: Path) -> list:
    folder = path.parent
    return ["--key-out", folder / "k", "--salt-out", folder / "s", "--commitment-out", folder / "c"]


def _folder(picture: Path) -> Path:
    """A folder of class folders with the bad picture as one image of the first class."""
    folder = picture.parent / "images"
    for label in range(CLASSES):
        for number in range(8):
            place = folder / str(label) / f"{number}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (16, 16), 40 * label + number).save(place)
    os.replace(picture, folder / "0" / picture.name)
    return folder


def _run(words: list, log: Path) -> tuple[int, str, int]:
    """Exit status (negative: the signal that ended it), what was said, and MiB beyond what the process began with."""
    child = get_context("fork").Process(target=_command, args=([str(word) for word in words], log))
    child.start()
    child.join(SECONDS + 30)
    if child.is_alive():
        child.kill()
        child.join()
        return -signal.SIGALRM, "", 0
    said = log.read_text(errors="replace")
    text, _, mib = said.rpartition("\nMIB ")
    return child.exitcode, text or said, int(mib) if mib.strip().isdigit() else 0


def _command(words: list[str], log: Path) -> None:
    """What the process does: the command, with what it says in a file, and within bounds."""
    file = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    sys.stdout, sys.stderr = (os.fdopen(os.dup(file), "w", buffering=1) for _ in range(2))
    for stream in (1, 2):
        os.dup2(file, stream)
    torch.set_num_threads(1)
    signal.alarm(SECONDS)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        sys.argv = ["mea", *words]
        main()
    finally:
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024
        os.write(2, f"\nMIB {grown}".encode())


def _cut(path: Path, sound: bytes, draw: random.Random) -> None:
    path.write_bytes(sound[: draw.randrange(len(sound))])


def _bytes_changed(path: Path, sound: bytes, draw: random.Random) -> None:
    changed = bytearray(sound)
    for _ in range(draw.randrange(1, 20)):
        changed[draw.randrange(min(400, len(changed)))] = draw.randrange(256)
    path.write_bytes(changed)


def _noise(path: Path, sound: bytes, draw: random.Random) -> None:
    path.write_bytes(draw.randbytes(draw.randrange(1, 5000)))


def _empty(path: Path, sound: bytes, draw: random.Random) -> None:
    path.write_bytes(b"")


def _deep(path: Path, sound: bytes, draw: random.Random) -> None:
    path.write_bytes(b"[" * 200_000 + b"]" * 200_000)


def _odd_json(path: Path, sound: bytes, draw: random.Random) -> None:
    path.write_text(draw.choice(("null", "[]", "1e999", '"text"', '{"a": {"b": []}}', "{}", "-0", "[1, 2")))


def _huge_header(path: Path, sound: bytes, draw: random.Random) -> None:
    """The length of a safetensors header, or any file's first bytes, say that exabytes follow."""
    path.write_bytes(draw.choice((2**63 - 1, 2**40, 2**31)).to_bytes(8, "little") + sound[8:])


def _sparse(path: Path, sound: bytes, draw: random.Random) -> None:
    """Six gigabytes, none of them on the disk."""
    with path.open("wb") as file:
        file.write(sound)
        file.truncate(6 * 2**30)


def _fifo(path: Path, sound: bytes, draw: random.Random) -> None:
    os.mkfifo(path)


def _endless(path: Path, sound: bytes, draw: random.Random) -> None:
    path.symlink_to("/dev/zero")


def _folder_instead(path: Path, sound: bytes, draw: random.Random) -> None:
    path.mkdir()


def _loop(path: Path, sound: bytes, draw: random.Random) -> None:
    path.symlink_to(path)


def _socket(path: Path, sound: bytes, draw: random.Random) -> Callable[[], None]:
    listening = socket.socket(socket.AF_UNIX)
    here = Path.cwd()
    os.chdir(path.parent)  # an address has room for a hundred letters
    listening.bind(path.name)
    os.chdir(here)
    return listening.close


def _pickle(path: Path, sound: bytes, draw: random.Random) -> None:
    """A pickle that would run a command of its own."""
    marker = path.with_name("ran")
    path.write_bytes(b"cos\nsystem\n(S'touch " + str(marker).encode() + b"'\ntR.")


KINDS = (
    _cut,
    _bytes_changed,
    _noise,
    _empty,
    _deep,
    _odd_json,
    _huge_header,
    _sparse,
    _fifo,
    _endless,
    _folder_instead,
    _loop,
    _socket,
    _pickle,
)
