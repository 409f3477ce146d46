"""A service behind real HTTP, and requests for it."""

import json
import multiprocessing
import socket
import sys
import time
from contextlib import contextmanager

import httpx
import numpy as np
import torch

from mea_lib.serving import oip
from mea_lib.serving.service import BackgroundServer, ServiceSettings, create_app, serve

SHAPE = (1, 16, 16)
INFER = "/v2/models/classifier/infer"
HEALTH = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"


def linear(images):
    """A model that answers each image with what it tells of its mean, (N, 2)."""
    share = images.float().mean((1, 2, 3)) / 255
    return torch.stack([share, 1 - share], dim=1)


@contextmanager
def running(model=linear, classes=(), limits=None, shape=SHAPE, **settings):
    """The service of this model, and a client for it; `client.server` is the server."""
    app = create_app(model, shape, ServiceSettings(**settings), classes)
    with (
        BackgroundServer(app, limits=limits) as server,
        httpx.Client(base_url=server.url, timeout=60, verify=False) as client,
    ):
        client.server = server
        yield client


@contextmanager
def line(client):
    """A connection as a client without any library has it."""
    address = client.base_url
    with socket.create_connection((address.host, address.port), timeout=30) as connection:
        yield connection


def some(number, value=7):
    return np.full((number, *SHAPE), value, np.uint8)


def question(images, id=None, binary=True, outputs=None, token=None, **parameters):
    """A request as httpx takes it."""
    fields = {"id": id, "parameters": parameters, "outputs": outputs}
    fields = {name: value for name, value in fields.items() if value}
    body, headers = oip.pack(fields, "inputs", {"images": np.asarray(images)}, ["images"] if binary else [])
    return {
        "content": body,
        "headers": headers | ({"Authorization": f"Bearer {token}"} if token else {}),
    }


def as_sent(images, **options):
    """The same as bytes on a connection."""
    request = question(images, **options)
    headers = request["headers"] | {"Host": "x", "Content-Length": str(len(request["content"]))}
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {INFER} HTTP/1.1\r\n{head}\r\n".encode() + request["content"]


def read(response):
    """The JSON of an answer, and its probabilities."""
    assert response.status_code == 200, response.text
    length = response.headers.get(oip.HEADER_LENGTH)
    fields = json.loads(response.content[: None if length is None else int(length)])
    return fields, oip.unpack(response.content, length, oip.Answer)[1]["probabilities"]


def refused(response, status, *words):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    for word in words:
        assert word in response.json()["error"]


def _serve(log, port, said):
    sys.stderr = said.open("w", buffering=1)
    serve(create_app(linear, SHAPE, ServiceSettings(log=log)), port=port)


@contextmanager
def child(log):
    """`serve` in a process of its own, a client for it, and the file of what it says."""
    said = log.with_name("said")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = multiprocessing.get_context("fork").Process(target=_serve, args=(log, port, said))
    process.start()
    try:
        while not (said.exists() and "Listening at" in said.read_text()):
            assert process.is_alive()
            time.sleep(0.01)
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, verify=False) as client:
            yield process, client, said
    finally:
        process.kill()
        process.join(60)
