"""Processes that share a store are killed in whatever they are doing; then every model is looked at."""

import hashlib
import os
import random
import signal
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import nn

from mea_lib.models import Input, build
from mea_lib.training import Store
from mea_lib.training.store import packed_weights

LONGEST_LIFE = 1.5  # seconds from a process's start to its kill
SECONDS_TO_END = 60
STOP = "stop"


def strike(kills: int = 100, processes: int = 8, models: int = 300, seed: int = 0) -> dict:
    """So many processes fetch models in orders of their own, one after another is killed, and others take its place.

    Args:
        kills: by SIGKILL, each after a life of random length.
        processes: at a time.
        models: different recipes.
        seed: of orders and lives.

    Returns:
        What was tried, and under `must_be_none` models that are not those of their recipe, models that were returned
        to somebody and are no longer there, models set aside as damaged, and processes that came to no end.
    """
    draw, context = random.Random(seed), get_context("fork")
    with tempfile.TemporaryDirectory() as folder:
        root, reports = Path(folder, "store"), Path(folder, "returned")
        reports.mkdir()

        def begin(number: int):
            child = context.Process(target=_fetch_all, args=(root, reports, models, seed + number))
            child.start()
            return child, time.monotonic() + draw.uniform(0.05, LONGEST_LIFE)

        running = [begin(number) for number in range(processes)]
        for number in range(kills):
            place = min(range(processes), key=lambda place: running[place][1])
            child, end = running[place]
            time.sleep(max(0.0, end - time.monotonic()))
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            running[place] = begin(processes + number)
        (reports / STOP).touch()
        hung = 0
        for child, _ in running:
            child.join(SECONDS_TO_END)
            if child.is_alive():
                hung += 1
                child.kill()
                child.join()
        (reports / STOP).unlink()
        returned = {int(path.name) for path in reports.iterdir()}
        store = Store(root)
        stored = {card["recipe"]["number"]: card["id"] for card in store.cards()}
        wrong = sum(not _is(store, number, identity) for number, identity in stored.items())
        damaged = len(list(root.glob("*damaged*")))
    return {
        "tried": {
            "kills": kills,
            "processes": processes,
            "models": len(stored),
        },
        "must_be_none": {
            "wrong models": wrong,
            "lost models": len(returned - stored.keys()),
            "models set aside": damaged,
            "hangs": hung,
        },
    }


def _fetch_all(root: Path, reports: Path, models: int, seed: int) -> None:
    """What a process does until it is killed or told to stop: it fetches models, one at least, and reports each."""
    torch.set_num_threads(1)
    store, draw = Store(root), random.Random(seed)
    while True:
        number = draw.randrange(models)
        model = store.fetch(_recipe(number), lambda number=number: _make(number))
        if _digest(model) == _digest(_make(number)):
            (reports / str(number)).touch()
        if (reports / STOP).exists():
            return


def _recipe(number: int) -> dict:
    return {"module": "mea_lib.models.nine_layer_cnn", "number": number}


def _make(number: int) -> nn.Module:
    return build("nine_layer_cnn", Input(1, 28, (0.5,), (0.5,)), classes=10, width=16, seed=number).eval()


def _digest(model: nn.Module) -> str:
    return hashlib.sha256(packed_weights(model)).hexdigest()


def _is(store: Store, number: int, identity: str) -> bool:
    """Whether what the store gives for a recipe is its model, under its name."""
    if store.identity(_recipe(number)) != identity:
        return False
    return _digest(store.fetch(_recipe(number), lambda: _make(-1))) == _digest(_make(number))
