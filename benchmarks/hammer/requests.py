"""Requests that no client should send: cut off, damaged, of another type, too large, or no HTTP at all."""

import json
import random
import socket
from collections.abc import Callable

import httpx
import numpy as np
import torch

from mea_lib.serving import oip
from mea_lib.serving.service import BackgroundServer, ServiceSettings, create_app

SHAPE, INFER = (1, 28, 28), "/v2/models/classifier/infer"
SECONDS = 20
ODD = (None, -1, 0, 2**63, 1e308, "", "a" * 10_000, [], {}, [[]], True, "é\x00", float("inf"))


def strike(requests: int = 500, seed: int = 0) -> dict:
    """Send so many, each followed by one that is sound every now and then.

    Args:
        requests: that are malformed, in equal parts of every kind.
        seed: of what is damaged, and how.

    Returns:
        What was tried with the statuses that came, and under `must_be_none` errors of the server (5xx), answers
        that are no JSON with a reason, requests that got nothing within 20 s, and sound ones that were not answered.
    """
    draw = random.Random(seed)
    kinds: tuple[Callable[[random.Random], tuple[bytes, dict[str, str]]], ...] = (
        _cut,
        _bytes_changed,
        _value_changed,
        _member_missing,
        _length_of_the_header_changed,
        _deep,
    )
    statuses: dict[str, int] = {}
    broken = {"server errors": 0, "answers without a reason": 0, "hangs": 0, "sound requests that failed": 0}
    app = create_app(_mean, SHAPE, ServiceSettings())
    with BackgroundServer(app) as server, httpx.Client(base_url=server.url, timeout=SECONDS) as client:
        for number in range(requests):
            kind = number % (len(kinds) + 1)
            if kind == len(kinds):
                status, reason = _no_http(server.url, draw)
            else:
                body, headers = kinds[kind](draw)
                status, reason = _send(client, body, headers)
            statuses[str(status)] = statuses.get(str(status), 0) + 1
            broken["hangs"] += status is None
            broken["server errors"] += status is not None and status >= 500
            broken["answers without a reason"] += status is not None and status >= 400 and not reason
            if number % 25 == 24:
                body, headers = _sound()
                broken["sound requests that failed"] += _send(client, body, headers)[0] != 200
    return {
        "tried": {"requests": requests, "statuses": dict(sorted(statuses.items()))},
        "must_be_none": broken,
    }


def _mean(images: torch.Tensor) -> torch.Tensor:
    share = images.float().mean((1, 2, 3)) / 255
    return torch.stack([share, 1 - share], dim=1)


def _sound(binary: bool = True) -> tuple[bytes, dict[str, str]]:
    images = np.full((2, *SHAPE), 7, np.uint8)
    body, headers = oip.pack({}, "inputs", {"images": images}, ["images"] if binary else [])
    return bytes(body), dict(headers)


def _cut(draw: random.Random) -> tuple[bytes, dict[str, str]]:
    body, headers = _sound(draw.random() < 0.5)
    return body[: draw.randrange(len(body))], headers


def _bytes_changed(draw: random.Random) -> tuple[bytes, dict[str, str]]:
    body, headers = _sound(draw.random() < 0.5)
    changed = bytearray(body)
    for _ in range(draw.randrange(1, 9)):
        changed[draw.randrange(min(len(changed), 200))] = draw.randrange(256)
    return bytes(changed), headers


def _value_changed(draw: random.Random) -> tuple[bytes, dict[str, str]]:
    question = json.loads(_sound(binary=False)[0])
    place = draw.choice((question, question["inputs"][0]))
    place[draw.choice([*place, "parameters", "outputs", "id"])] = draw.choice(ODD)
    return json.dumps(question).encode(), {}


def _member_missing(draw: random.Random) -> tuple[bytes, dict[str, str]]:
    question = json.loads(_sound(binary=False)[0])
    place = draw.choice((question, question["inputs"][0]))
    del place[draw.choice(list(place))]
    return json.dumps(question).encode(), {}


def _length_of_the_header_changed(draw: random.Random) -> tuple[bytes, dict[str, str]]:
    body, headers = _sound()
    return body, headers | {oip.HEADER_LENGTH: draw.choice(("-1", "0", "7", "99999999999", "x", "1e3", ""))}


def _deep(draw: random.Random) -> tuple[bytes, dict[str, str]]:
    depth = draw.randrange(100, 100_000)
    return b"[" * depth + b"]" * depth, {}


def _send(client: httpx.Client, body: bytes, headers: dict[str, str]) -> tuple[int | None, str]:
    """Status and reason of the answer; no status where none came."""
    try:
        response = client.post(INFER, content=body, headers=headers)
    except httpx.TimeoutException:
        return None, ""
    return response.status_code, _reason(response.content)


def _no_http(url: str, draw: random.Random) -> tuple[int | None, str]:
    """Bytes that are no request, then the end of what is sent."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=SECONDS) as line:
        line.sendall(draw.randbytes(draw.randrange(1, 400)) + b"\r\n\r\n")
        line.shutdown(socket.SHUT_WR)
        try:
            answer = b"".join(iter(lambda: line.recv(65536), b""))
        except TimeoutError:
            return None, ""
        except ConnectionResetError:
            return 400, "the connection was closed"
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split()
    if len(words) < 2:
        return 400, "the connection was closed"
    return int(words[1]), _reason(body)


def _reason(body: bytes) -> str:
    try:
        return json.loads(body).get("error", "")
    except (ValueError, AttributeError):
        return ""
