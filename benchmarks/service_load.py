"""The HTTP service under load: images a second and latency, and a minute with 200 clients at once.

The server runs in a process of its own with the network of the laptop scale, untrained, since weights change no
time; the clients share this machine with it. `python -m benchmarks.service_load --soak` runs the minute.
"""

import argparse
import asyncio
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import numpy as np
import torch
from torch import nn

import mea_lib as mea
from mea_lib.models import Input, build
from mea_lib.serving import oip
from mea_lib.serving.service import read_log

SHAPE, BATCH = (1, 28, 28), 64
INFER = "/v2/models/classifier/infer"
CHILD = """
import sys
from pathlib import Path
import mea_lib as mea
from benchmarks.service_load import SHAPE, _network
from mea_lib.serving.service import ServiceSettings, create_app, serve
log, clients, budget = [*sys.argv[1:], "", "0", "0"][:3]
settings = ServiceSettings(
    log=Path(log) if log else None,
    tokens=tuple(f"token-{number}" for number in range(int(clients))),
    client_budget=int(budget) or None,
)
serve(create_app(mea.Oracle(_network()), SHAPE, settings), port=0)
"""


def measure(connections: int = 4, seconds: float = 5.0, rounds: int = 3) -> dict:
    """Images a second and latency of batches, with JSON and with binary tensors, against the model in memory.

    Args:
        connections: clients that each wait for an answer before they query again.
        seconds: of one round.
        rounds: of each way, taken in turn after one that warms up.
    """
    runs_by_way: dict[str, list[tuple[float, list[float]]]] = {"in memory": [], "json": [], "binary": []}
    oracle = mea.Oracle(_network())
    with _server() as url:
        for number in range(rounds + 1):
            for way, runs in runs_by_way.items():
                if way == "in memory":
                    run = _ask_in_memory(oracle, seconds)
                else:
                    run = asyncio.run(_ask_batches(url, way == "binary", connections, seconds))
                if number:
                    runs.append(run)
    rates = {way: [rate for rate, _ in runs] for way, runs in runs_by_way.items()}
    return {
        "images_per_request": BATCH,
        "connections": connections,
        "rounds": rounds,
        "images_per_second": {way: round(statistics.median(way_rates)) for way, way_rates in rates.items()},
        "rate_against_the_model_in_memory": {
            way: _spread([rate / alone for rate, alone in zip(rates[way], rates["in memory"], strict=True)])
            for way in ("json", "binary")
        },
        "milliseconds_per_request": {
            way: _latency([one for _, waits in runs for one in waits]) for way, runs in runs_by_way.items()
        },
    }


def soak(clients: int = 200, seconds: float = 60.0, budget: int = 0) -> dict:
    """So many clients query at once, with one to eight images; then the log is laid beside their answers.

    Args:
        clients: each with a token of its own.
        seconds: for which they query.
        budget: images for each client; 0 for no limit.
    """
    with (
        tempfile.TemporaryDirectory() as folder,
        _server(f"{folder}/log", str(clients), str(budget)) as url,
    ):
        answered, refused, waits = asyncio.run(_ask_at_once(url, clients, seconds))
        entries = read_log(f"{folder}/log")
    logged = {entry.id: entry.images for entry in entries if entry.status == 200}
    numbers = sorted((entry.first, entry.images) for entry in entries if entry.first is not None)
    spent = Counter()
    for name, images in answered.items():
        spent[name.partition("-")[0]] += images
    next_number = [0, *(first + images for first, images in numbers)]
    return {
        "clients": clients,
        "seconds": seconds,
        "answered_requests": len(answered),
        "answered_images": sum(answered.values()),
        "not_answered": refused,
        "answered_but_not_logged": len(answered.keys() - logged.keys()),
        "logged_but_not_answered": len(logged.keys() - answered.keys()),
        "logged_with_another_number_of_images": sum(
            logged[name] != images for name, images in answered.items() if name in logged
        ),
        "images_above_a_budget": sum(max(0, images - budget) for images in spent.values()) if budget else 0,
        "image_numbers_without_gap": all(
            first == expected for (first, _), expected in zip(numbers, next_number, strict=False)
        ),
        "milliseconds_per_request": _latency(waits),
    }


@contextmanager
def _server(*arguments: str) -> Iterator[str]:
    """The address of a server in another process."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments],
        cwd=Path(__file__).resolve().parent.parent,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        said = (re.search(r"Listening at (\S+);", line) for line in process.stderr)
        address = next(match[1] for match in said if match)
        yield address
    finally:
        process.terminate()
        process.communicate()


@asynccontextmanager
async def _client(url: str) -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
        yield client


def _network() -> nn.Module:
    return build("nine_layer_cnn", Input(1, 28, (0.5,), (0.5,)), classes=10, width=16)


def _batch() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (BATCH, *SHAPE), np.uint8)


def _ask_in_memory(oracle: mea.Oracle, seconds: float) -> tuple[float, list[float]]:
    """Images a second, and what each call took."""
    images, waits, started = torch.from_numpy(_batch()), [], time.perf_counter()
    while time.perf_counter() < started + seconds:
        sent_at = time.perf_counter()
        oracle(images)
        waits.append(time.perf_counter() - sent_at)
    return BATCH * len(waits) / (time.perf_counter() - started), waits


async def _ask_batches(url: str, binary: bool, connections: int, seconds: float) -> tuple[float, list[float]]:
    """Images a second, and what each request took."""
    body, headers = oip.pack(
        {"parameters": {"binary_data_output": binary}},
        "inputs",
        {"images": _batch()},
        ["images"] if binary else [],
    )
    waits: list[float] = []

    async def ask(client: httpx.AsyncClient) -> None:
        while time.perf_counter() < started + seconds:
            sent_at = time.perf_counter()
            response = await client.post(INFER, content=body, headers=headers)
            response.raise_for_status()
            waits.append(time.perf_counter() - sent_at)

    async with _client(url) as client:
        started = time.perf_counter()
        await asyncio.gather(*(ask(client) for _ in range(connections)))
    return BATCH * len(waits) / (time.perf_counter() - started), waits


async def _ask_at_once(
    url: str, clients: int, seconds: float
) -> tuple[dict[str, int], dict[str, int], list[float]]:
    """Images of each answered request by its id, how many were refused and why, and what each request took."""
    answered: dict[str, int] = {}
    refused: dict[str, int] = {}
    waits: list[float] = []
    started = time.perf_counter()

    async def ask(number: int, client: httpx.AsyncClient) -> None:
        turn = 0
        while time.perf_counter() < started + seconds:
            name, count = f"{number}-{turn}", 1 + (number + turn) % 8
            turn += 1
            images = np.full((count, *SHAPE), number, np.uint8)
            body, headers = oip.pack(
                {"id": name}, "inputs", {"images": images}, ["images"] if number % 2 else []
            )
            headers["Authorization"] = f"Bearer token-{number}"
            sent_at = time.perf_counter()
            try:
                response = await client.post(INFER, content=body, headers=headers)
            except httpx.HTTPError as error:
                reason = type(error).__name__
            else:
                reason = str(response.status_code)
            if reason == "200" and response.json()["id"] == name:
                answered[name] = count
                waits.append(time.perf_counter() - sent_at)
            else:
                refused[reason] = refused.get(reason, 0) + 1

    async with _client(url) as client:
        await asyncio.gather(*(ask(number, client) for number in range(clients)))
    return answered, refused, waits


def _latency(seconds: list[float]) -> dict[str, float]:
    half, last = np.percentile(seconds, [50, 99]) * 1_000
    return {"p50": round(float(half), 1), "p99": round(float(last), 1)}


def _spread(ratios: list[float]) -> dict[str, float]:
    values = {"median": statistics.median(ratios), "least": min(ratios), "largest": max(ratios)}
    return {name: round(value, 2) for name, value in values.items()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--soak", action="store_true", help="200 clients at once for a minute")
    print(json.dumps(soak() if parser.parse_args().soak else measure(), indent=2))
