"""The service, queried over HTTP: what it answers, what it refuses, what that costs, and that it goes on."""

import asyncio
import json
import logging
import math
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mea_lib import Oracle
from mea_lib.blackbox import request_body
from mea_lib.blackbox import service as service_file
from mea_lib.serving import oip
from mea_lib.serving.clients import token_name
from mea_lib.serving.service import BackgroundServer, ServiceSettings, create_app, read_log

SHAPE = (1, 16, 16)
INFER = "/v2/models/classifier/infer"


@contextmanager
def running(model, classes=(), **options):
    """The service behind real HTTP, and a client for it."""
    app = create_app(model, SHAPE, ServiceSettings(**options), classes)
    with BackgroundServer(app) as server, httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


def linear(images):
    """A model that answers each image with what it tells of its mean, (N, 2)."""
    share = images.float().mean((1, 2, 3)) / 255
    return torch.stack([share, 1 - share], dim=1)


def question(images, id=None, binary=True, outputs=None, **parameters):
    fields = {"id": id, "parameters": parameters, "outputs": outputs}
    fields = {name: value for name, value in fields.items() if value}
    body, headers = oip.pack(fields, "inputs", {"images": np.asarray(images)}, ["images"] if binary else [])
    return {"content": body, "headers": headers}


def some(number, value=7):
    return np.full((number, *SHAPE), value, np.uint8)


def read(response):
    assert response.status_code == 200, response.text
    return oip.unpack(response.content, response.headers.get(oip.HEADER_LENGTH), "outputs")


def refused(response, status, *words):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    for word in words:
        assert word in response.json()["error"]


@pytest.fixture
def oracle(tiny):
    return Oracle(tiny)


# What it answers


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
def test_answers_are_the_oracles(oracle, digits, binary_in, binary_out):
    images = digits.test.images[:30]
    expected = oracle(images).numpy()
    with running(oracle) as client:
        ask = question(images, "z", binary_in, binary_data_output=binary_out)
        response = client.post(INFER, **ask)
    assert (oip.HEADER_LENGTH in response.headers) == binary_out
    fields, tensors = read(response)
    np.testing.assert_allclose(tensors["probabilities"], expected, rtol=1e-6)
    assert tensors["probabilities"].dtype == np.float32
    assert {name: fields.get(name) for name in ("model_name", "model_version", "id", "parameters")} == {
        "model_name": "classifier",
        "model_version": "1",
        "id": "z",
        "parameters": None,
    }


def test_data_may_be_nested(oracle, digits):
    images = digits.test.images[:3]
    entry = {"name": "images", "datatype": "UINT8", "shape": list(images.shape), "data": images.tolist()}
    with running(oracle) as client:
        fields, tensors = read(client.post(INFER, json={"inputs": [entry]}))
    np.testing.assert_allclose(tensors["probabilities"], oracle(images).numpy(), rtol=1e-6)
    assert "id" not in fields


def test_the_oracles_rounding_reaches_the_client(tiny, digits):
    with running(Oracle(tiny, decimals=2)) as client:
        found = json.loads(client.post(INFER, **question(digits.test.images[:5], binary=False)).content)
    assert all(round(value, 2) == value for value in found["outputs"][0]["data"])


def test_an_output_may_be_asked_for_by_name_and_in_its_own_form():
    with running(linear) as client:
        plain = [{"name": "probabilities"}]
        as_bytes = [{"name": "probabilities", "parameters": {"binary_data": True}}]
        as_json = [{"name": "probabilities", "parameters": {"binary_data": False}}]
        for outputs, default, expected in (
            (plain, False, False),
            (plain, True, True),
            (as_bytes, False, True),
            (as_json, True, False),
        ):
            response = client.post(INFER, **question(some(2), outputs=outputs, binary_data_output=default))
            assert (oip.HEADER_LENGTH in response.headers) == expected
            assert read(response)[1]["probabilities"].shape == (2, 2)
        for wrong in ([{"name": "logits"}], [{}], plain * 2):
            refused(
                client.post(INFER, **question(some(2), outputs=wrong)), 400, "one output, 'probabilities'"
            )


def test_it_describes_itself(oracle):
    with running(oracle, classes=tuple("0123456789"), name="digits", version="3", batch_limit=9) as client:
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json()["ready"] is True
        server = client.get("/v2").json()
        assert "binary_tensor_data" in server["extensions"]
        assert {"name", "version"} <= server.keys()
        assert client.get("/v2/models").json() == {"models": ["digits"]}
        for path in ("/v2/models/digits", "/v2/models/digits/versions/3"):
            assert client.get(path + "/ready").json() == {"name": "digits", "ready": True}
            assert client.get(path).json() == {
                "name": "digits",
                "versions": ["3"],
                "platform": "pytorch",
                "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, 1, 16, 16]}],
                "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
                "parameters": {"batch_limit": 9, "classes": list("0123456789")},
            }
            assert read(client.post(path + "/infer", **question(some(1))))[0]["model_version"] == "3"


def test_without_names_of_classes_their_number_is_found_at_no_cost(tiny):
    oracle = Oracle(tiny, budget=1)
    with running(oracle) as client:
        assert client.get("/v2/models/classifier").json()["outputs"][0]["shape"] == [-1, 10]
        read(client.post(INFER, **question(some(1))))
    with running(lambda images: linear(images[:1]).expand(len(images), 2) / len(images[:1])) as client:
        assert client.get("/v2/models/classifier").json()["outputs"][0]["shape"] == [-1, 2]


def test_a_model_that_cannot_be_asked_about_nothing_does_not_say_its_classes():
    def needs_an_image(images):
        images[0]
        return linear(images)

    with running(needs_an_image) as client:
        assert client.get("/v2/models/classifier").json()["outputs"][0]["shape"] == [-1, -1]
        read(client.post(INFER, **question(some(3))))


# What it refuses


def entry(**changes):
    found = {"name": "images", "datatype": "UINT8", "shape": [1, *SHAPE], "data": [7] * 256}
    return {name: value for name, value in (found | changes).items() if value is not ...}


def body(*entries, **fields):
    return json.dumps({"inputs": list(entries)} | fields).encode()


BINARY = body(entry(data=..., parameters={"binary_data_size": 256}))
LONG = {oip.HEADER_LENGTH: str(len(BINARY))}


@pytest.mark.parametrize(
    ("content", "headers", "words"),
    [
        (b"", {}, "not JSON"),
        (b"\x00\xff garbage", {}, "not JSON"),
        (b"[" * 30_000 + b"]" * 30_000, {}, "not JSON"),
        (b'{"inputs":' + b"[" * 900 + b"]" * 900 + b"}", {}, "list of objects"),
        (body(), {}, "one tensor called 'images'"),
        (b"{}", {}, "one tensor called 'images'"),
        (body(entry(name="input")), {}, "one tensor called 'images'"),
        (body(entry(), entry(name="more")), {}, "one tensor called 'images'"),
        (body(entry(datatype="FP32")), {}, "must be UINT8"),
        (body(entry(datatype="INT64")), {}, "must be UINT8"),
        (body(entry(datatype="uint8")), {}, "datatype"),
        (body(entry(shape=SHAPE)), {}, "must be [-1, 1, 16, 16], not [1, 16, 16]"),
        (body(entry(shape=[256])), {}, "must be [-1, 1, 16, 16], not [256]"),
        (body(entry(shape=[1, 1, 16, 17])), {}, "its shape is"),
        (body(entry(shape=[1, 16, 16, 1])), {}, "must be [-1, 1, 16, 16]"),
        (body(entry(shape=[2**40, *SHAPE])), {}, "its shape is"),
        (body(entry(shape=[0, *SHAPE], data=[])), {}, "is empty; send 1 to 4 images"),
        (
            body(entry(shape=[5, *SHAPE], data=[7] * 1280)),
            {},
            "5 images are too many for one request; send at most 4",
        ),
        (body(entry(data=[7] * 255 + [256])), {}, "between 0 and 255"),
        (body(entry(data=[7] * 255 + [-1])), {}, "between 0 and 255"),
        (body(entry(data=[7] * 255 + [0.5])), {}, "whole numbers"),
        (body(entry(data=[7] * 255 + [math.nan])), {}, "not JSON"),
        (body(entry(data=[7] * 255 + [None])), {}, "found null"),
        (body(entry(), id=3), {}, "'id' must be a string"),
        (body(entry(), id="x" * 257), {}, "'id' must be a string of 256"),
        (body(entry(), outputs="probabilities"), {}, "'outputs' must be a list"),
        (body(entry(), parameters=[1]), {}, "'parameters' must be an object"),
        (body(entry(), parameters={"binary_data_output": "yes"}), {}, "must be true or false"),
        (BINARY + bytes(256), {}, "not JSON"),
        (BINARY + bytes(255), LONG, "only 255 follow"),
        (BINARY + bytes(257), LONG, "left over"),
        (BINARY + bytes(256), {oip.HEADER_LENGTH: "-1"}, "must be the length"),
        (BINARY + bytes(256), {oip.HEADER_LENGTH: "9" * 5_000}, "must be the length"),
        (BINARY + bytes(256), {oip.HEADER_LENGTH: str(2**63)}, "must be the length"),
        (BINARY + bytes(256), {oip.HEADER_LENGTH: "1e2"}, "must be the length"),
    ],
)
def test_a_request_that_is_none_is_refused_and_costs_nothing(tmp_path, content, headers, words):
    log = tmp_path / "log"
    with running(linear, batch_limit=4, client_budget=2, log=log) as client:
        refused(client.post(INFER, content=content, headers=headers), 400, words)
        assert log.read_bytes() == b""
        fields, _ = read(client.post(INFER, **question(some(2))))
    assert fields["parameters"] == {"remaining_budget": 0}


@pytest.fixture(scope="module")
def open_service():
    with running(linear) as client:
        yield client


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=600), st.none() | st.text("0123456789-+e.", max_size=6))
def test_garbage_is_always_the_clients_fault(open_service, content, length):
    headers = {} if length is None else {oip.HEADER_LENGTH: length}
    refused(open_service.post(INFER, content=content, headers=headers), 400)


def test_only_a_token_opens_what_tokens_protect(tmp_path):
    log = tmp_path / "log"
    with running(linear, tokens=("first", "second"), log=log, client_budget=3) as client:
        for path in (
            "/v2",
            "/v2/models",
            "/v2/models/classifier",
            "/v2/models/classifier/ready",
            "/v2/models/other",
        ):
            refused(client.get(path), 401, "Bearer")
        for shown in (None, "Bearer third", "Bearer", "Basic first", "Bearer \xe9"):
            headers = {} if shown is None else {"Authorization": shown.encode("latin-1")}
            ask = question(some(1))
            response = client.post(INFER, content=ask["content"], headers=ask["headers"] | headers)
            refused(response, 401)
            assert response.headers["www-authenticate"] == "Bearer"
        assert client.get("/v2/health/live").status_code == 200  # probes have no token
        assert client.get("/v2/health/ready").status_code == 200
        client.headers["Authorization"] = "Bearer second"
        assert client.get("/v2/models/classifier").status_code == 200
        read(client.post(INFER, **question(some(3))))
        refused(client.post(INFER, **question(some(1))), 429)
        client.headers["Authorization"] = "Bearer first"
        read(client.post(INFER, **question(some(3))))
    assert [entry.client for entry in read_log(log)] == [token_name(b"second"), token_name(b"first")]
    assert "second" not in log.read_text()


def test_a_client_cannot_name_itself_another_address():
    with running(linear, client_budget=1) as client:
        read(client.post(INFER, **question(some(1))))
        client.headers["X-Forwarded-For"] = "10.9.8.7"
        refused(client.post(INFER, **question(some(1))), 429)


def test_wrong_addresses_are_refused():
    with running(linear) as client:
        for path in ("/", "/v1", "/v2/model", "/v2/models/classifier/", "/docs", "/redoc"):
            refused(client.get(path), 404)
        refused(client.get("/v2/models/other"), 404, "unknown model 'other'; this service has 'classifier'")
        refused(client.get("/v2/models/other?name=classifier"), 404)
        refused(client.post("/v2/models/other/infer", **question(some(1))), 404, "unknown model")
        refused(
            client.post("/v2/models/classifier/versions/2/infer", **question(some(1))), 404, "version '2'"
        )
        refused(client.get(INFER), 405)
        refused(client.post("/v2/health/live"), 405)
        refused(client.delete("/v2/models/classifier"), 405)
        assert client.get("/v2/models/classifier?version=2").status_code == 200


def test_a_body_that_is_too_large_is_refused_before_it_is_read():
    limit = 10_000
    with running(linear, max_body_bytes=limit) as client:
        refused(client.post(INFER, content=bytes(20_000_000)), 413, "10000 bytes are the most")
        refused(
            client.post(INFER, content=(bytes(1_000) for _ in range(20_000))), 413, "10000 bytes are the most"
        )
        refused(client.post(INFER, content=bytes(limit)), 400)  # just not too large
        address = client.base_url
        with socket.create_connection((address.host, address.port), timeout=30) as line:
            line.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**15}\r\n\r\n".encode())
            assert line.recv(1_000).startswith(b"HTTP/1.1 413")
        read(client.post(INFER, **question(some(3))))


def test_as_many_images_as_are_allowed_fit_by_default_however_they_are_written():
    entry = {"name": "images", "datatype": "UINT8", "shape": [20, *SHAPE], "data": some(20, 255).tolist()}
    with running(linear, batch_limit=20) as client:
        read(client.post(INFER, content=json.dumps({"inputs": [entry]})))
        refused(client.post(INFER, content=json.dumps({"inputs": [entry]}, indent=9)), 413)


def test_a_compressed_body_is_refused():
    with running(linear) as client:
        headers = {"Content-Encoding": "gzip"}
        refused(client.post(INFER, content=b"\x1f\x8b", headers=headers), 415, "as it is")


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(request_body, "READ_SECONDS", 0.2)
    with running(linear) as client:
        address = client.base_url
        with socket.create_connection((address.host, address.port), timeout=30) as line:
            line.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
            assert line.recv(1_000).startswith(b"HTTP/1.1 408")
        with socket.create_connection((address.host, address.port), timeout=30) as line:
            line.sendall(f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode())
        read(client.post(INFER, **question(some(1))))


# What it costs


def test_a_spent_budget_is_said_without_a_time_to_try_again():
    with running(linear, client_budget=10) as client:
        assert read(client.post(INFER, **question(some(7))))[0]["parameters"] == {"remaining_budget": 3}
        response = client.post(INFER, **question(some(4)))
        refused(response, 429, "budget is spent", "only 3 of this client's 10")
        assert "retry-after" not in response.headers
        assert read(client.post(INFER, **question(some(3))))[0]["parameters"] == {"remaining_budget": 0}


def test_the_models_own_budget_is_said_as_well(tiny):
    oracle = Oracle(tiny, budget=3)
    with running(oracle, client_budget=10) as client:
        read(client.post(INFER, **question(some(2))))
        response = client.post(INFER, **question(some(2)))
        refused(response, 429, "budget is spent")
        assert "retry-after" not in response.headers
        assert read(client.post(INFER, **question(some(1))))[0]["parameters"] == {"remaining_budget": 7}


def test_who_asks_too_fast_is_told_when_to_try_again():
    with running(linear, client_budget=10, rate_limit=0.01) as client:
        read(client.post(INFER, **question(some(2))))
        response = client.post(INFER, **question(some(2)))
        refused(response, 429, "0.01 images a second")
        assert 100 < int(response.headers["retry-after"]) <= 200
        response = client.post(INFER, **question(some(9)))
        refused(response, 429, "only 8 of")  # waiting would not help
        assert "retry-after" not in response.headers


def test_the_budget_outlives_the_process_with_a_log(tmp_path):
    log = tmp_path / "log"
    for remaining in (6, 2):
        with running(linear, client_budget=10, log=log) as client:
            found = read(client.post(INFER, **question(some(4))))
            assert found[0]["parameters"] == {"remaining_budget": remaining}
    with running(linear, client_budget=10, log=log) as client:
        refused(client.post(INFER, **question(some(4))), 429)
    assert [entry.first for entry in read_log(log)] == [0, 4]


def test_many_clients_at_once_never_get_more_than_their_budgets_and_all_of_it_is_logged(tmp_path):
    log, tokens = tmp_path / "log", ("one", "two", "three")

    def unsteady(images):
        if len(images) and images[0, 0, 0, 0] == 255:
            raise RuntimeError("an unlucky image")
        return linear(images)

    with running(unsteady, client_budget=100, tokens=tokens, log=log) as client:

        def ask(number):
            token = tokens[number % 3]
            unlucky = number % 5 == 4
            request = question(some(7, 255 if unlucky else number), f"{number}")
            headers = request["headers"] | {"Authorization": f"Bearer {token}"}
            response = client.post(INFER, content=request["content"], headers=headers)
            assert response.status_code in ((500, 429) if unlucky else (200, 429)), response.text
            if response.status_code == 200:
                share = read(response)[1]["probabilities"][:, 0]
                np.testing.assert_allclose(share, number / 255, rtol=1e-5)  # its own answer
            return token, number, response.status_code

        with ThreadPoolExecutor(24) as pool:
            found = list(pool.map(ask, range(120)))
        after = {}
        for token in tokens:
            request = question(some(2))
            headers = request["headers"] | {"Authorization": f"Bearer {token}"}
            after[token] = client.post(INFER, content=request["content"], headers=headers)
    for token in tokens:
        spent = 7 * sum(who == token and status == 200 for who, _, status in found)
        assert spent >= 84  # all but what a failing request held for a moment
        assert read(after[token])[0]["parameters"] == {"remaining_budget": 100 - spent - 2}
    entries = [entry for entry in read_log(log) if entry.id is not None]
    assert {(entry.id, entry.client, entry.status) for entry in entries} == {
        (str(number), token_name(who.encode()), status) for who, number, status in found if status != 429
    }
    answered = [entry for entry in entries if entry.status == 200]
    assert [entry.first for entry in answered] == list(range(0, 7 * len(answered), 7))


# That it goes on


def raises(images):
    raise RuntimeError("secret detail of the model")


def answers_nan(images):
    return linear(images) * math.nan


def answers_too_few(images):
    return linear(images)[1:]


def answers_a_vector(images):
    return linear(images)[:, 0]


def answers_otherwise_each_time(images):
    return torch.ones(len(images), len(images) + 2)


def answers_no_tensor(images):
    return "0.5"


@pytest.mark.parametrize(
    "model",
    [raises, answers_nan, answers_too_few, answers_a_vector, answers_otherwise_each_time, answers_no_tensor],
)
def test_a_model_that_fails_is_said_without_details_and_nothing_is_spent(tmp_path, model, caplog):
    log = tmp_path / "log"
    fails = threading.Event()
    fails.set()

    def sometimes(images):
        return model(images) if fails.is_set() and len(images) else linear(images)

    with running(sometimes, client_budget=2, log=log) as client:
        with caplog.at_level(logging.ERROR):
            for _ in range(3):
                response = client.post(INFER, **question(some(2), "q"))
                refused(response, 500, "nothing was spent")
                assert "secret" not in response.text
                assert "Traceback" not in response.text
        fails.clear()
        read(client.post(INFER, **question(some(2), "q")))
    assert "a question about 2 images was not answered" in caplog.text  # its owner reads why
    assert [(entry.status, entry.first) for entry in read_log(log)] == [(500, None)] * 3 + [(200, 0)]


def test_without_its_log_nothing_is_answered(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with running(linear, client_budget=2, log=folder / "log") as client:
        shutil.rmtree(folder)
        refused(client.post(INFER, **question(some(2))), 500, "nothing was spent")
        folder.mkdir()
        assert read(client.post(INFER, **question(some(2))))[0]["parameters"] == {"remaining_budget": 0}


def test_the_log_says_what_was_asked(tmp_path):
    import hashlib

    log = tmp_path / "log"
    with running(linear, log=log) as client:
        read(client.post(INFER, **question(some(3), "a", binary=False)))
        assert [entry.id for entry in read_log(log)] == ["a"]  # while it runs, before the next request
        read(client.post(INFER, **question(some(2, 9)), timeout=60))
    first, second = read_log(log)
    assert (first.client, first.id, first.images, first.first, first.status) == ("127.0.0.1", "a", 3, 0, 200)
    assert first.sha256 == hashlib.sha256(bytes([7]) * 768).hexdigest()
    assert (second.id, second.images, second.first) == (None, 2, 3)


def test_it_answers_200_at_once_and_says_that_it_lives_while_the_model_is_busy(tmp_path):
    log = tmp_path / "log"
    free, asked = threading.Event(), threading.Event()

    def busy(images):
        if len(images):
            asked.set()
            assert free.wait(60)
        return linear(images)

    async def ask_all(url):
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60) as client:
            asks = [
                asyncio.create_task(client.post(INFER, **question(some(1, number), str(number))))
                for number in range(200)
            ]
            await asyncio.to_thread(asked.wait, 60)
            for _ in range(3):
                assert (await client.get("/v2/health/live")).status_code == 200
                assert (await client.get("/v2/models/classifier")).status_code == 200
            assert not any(ask.done() for ask in asks)
            free.set()
            return await asyncio.gather(*asks)

    app = create_app(busy, SHAPE, ServiceSettings(log=log))
    with BackgroundServer(app) as server:
        responses = asyncio.run(ask_all(server.url))
    for number, response in enumerate(responses):
        fields, tensors = read(response)
        assert fields["id"] == str(number)
        assert tensors["probabilities"][0, 0] == pytest.approx(number / 255)
    assert sorted(int(entry.id) for entry in read_log(log)) == list(range(200))


# How it is started and ended


def test_a_port_that_is_taken_is_said():
    with BackgroundServer(create_app(linear, SHAPE)) as server:
        port = int(server.url.rpartition(":")[2])
        with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1, port {port} .*choose another"):
            BackgroundServer(create_app(linear, SHAPE), port).__enter__()
        with pytest.raises(OSError, match="choose another"):
            service_file.serve(create_app(linear, SHAPE), port=port)


def test_a_server_ends_with_its_block_and_its_application_can_be_run_again():
    app, before = create_app(linear, SHAPE), threading.active_count()
    for _ in range(2):
        with BackgroundServer(app) as server, httpx.Client(base_url=server.url) as client:
            read(client.post(INFER, **question(some(1))))
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/v2")
    assert threading.active_count() <= before + 1


def test_a_server_can_listen_at_an_ipv6_address():
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with BackgroundServer(create_app(linear, SHAPE), host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(f"{server.url}/v2/health/live").status_code == 200


CHILD = """
import sys
from tests.serving.test_service import SHAPE, linear
from mea_lib.serving.service import ServiceSettings, create_app, serve
serve(create_app(linear, SHAPE, ServiceSettings(log=sys.argv[1])), port=int(sys.argv[2]))
"""


@contextmanager
def child(log):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(log), str(port)],
        cwd=Path(__file__).parent.parent.parent,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            assert any("Listening at" in line for line in process.stderr)
            assert any("startup complete" in line for line in process.stderr)
            yield process, client
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_ends_it_quietly(tmp_path):
    with child(tmp_path / "log") as (process, client):
        read(client.post(INFER, **question(some(1))))
        process.send_signal(2)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "Traceback" not in said


def test_a_kill_loses_no_answered_question(tmp_path):
    log = tmp_path / "log"
    answered = []
    with child(log) as (process, client):

        def ask(number):
            try:
                if client.post(INFER, **question(some(1), str(number))).status_code == 200:
                    answered.append(str(number))
            except httpx.TransportError:
                return
            if len(answered) >= 100:
                process.kill()

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(ask, range(1_000)))
    assert 100 <= len(answered) < 1_000
    assert set(answered) <= {entry.id for entry in read_log(log)}


# What it is made from


NO_NAMES = (
    "",
    "a/b",
    ".",
    "..",
    "a?b",
    "a#b",
    "a b",
    " a",
    "a\n",
    "a%20b",
    "größe",
    "a\\b",
    "\x00",
    "a" * 129,
)


@pytest.mark.parametrize("name", ["classifier", "a", "v1.2", "...a", "A-b_c~d", "1", "a" * 128])
def test_a_name_that_is_taken_works_in_the_address_as_it_is_printed(name):
    with running(linear, name=name, version=name) as client:
        for path in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{name}"):
            assert client.get(path).json()["name"] == name
            read(client.post(f"{path}/infer", **question(some(1))))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        *(({"name": name}, "the name stands in the address.*this is none") for name in NO_NAMES),
        *(({"version": name}, "the version stands in the address.*this is none") for name in NO_NAMES),
        ({"batch_limit": 0}, "batch_limit must be at least 1"),
        ({"client_budget": -1}, "client_budget must be at least 0"),
        ({"max_body_bytes": 0}, "max_body_bytes"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"rate_limit": math.nan}, "rate_limit"),
        ({"tokens": "secret"}, r"write \(token,\)"),
        ({"tokens": ("",)}, "a token is made of"),
        ({"tokens": ("two words",)}, "a token is made of"),
        ({"tokens": ("naïve",)}, "a token is made of"),
        ({"tokens": ("line\n",)}, "a token is made of"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ServiceSettings(**options)


def test_tokens_are_not_printed():
    assert "secret" not in repr(ServiceSettings(tokens=("secret",)))


@pytest.mark.parametrize("shape", [(1, 16), (0, 16, 16), (1, 16, 16.0), (2, 1, 16, 16)])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(ValueError, match=r"\(C, H, W\)"):
        create_app(linear, shape)


def test_other_names_than_the_model_has_classes_are_refused():
    with pytest.raises(ValueError, match="tells 2 classes apart, but 3 names"):
        create_app(linear, SHAPE, classes=("a", "b", "c"))


WITHOUT_EXTRA = """
import sys, mea_lib, mea_lib.blackbox
print(sorted({"fastapi", "uvicorn", "orjson"} & set(sys.modules)))
for missing, module in [("orjson", "oip"), ("orjson", "service"), ("uvicorn", "service"), ("fastapi", "service")]:
    sys.modules[missing] = None
    try:
        __import__(f"mea_lib.blackbox.{module}")
    except ImportError as error:
        print(missing in str(error), str(error).endswith("run: pip install 'mea-lib[service]'"))
    del sys.modules[missing]
"""


def test_the_package_does_without_the_extra_and_says_what_needs_it():
    found = subprocess.run(
        [sys.executable, "-c", WITHOUT_EXTRA], capture_output=True, text=True, check=True
    ).stdout
    assert found.splitlines() == ["[]"] + ["True True"] * 4
