"""The service, queried over HTTP: what it answers, what it refuses, what that costs, and that it goes on."""

import asyncio
import hashlib
import json
import logging
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from over_http import INFER, SHAPE, child, line, linear, question, read, refused, running, some

from mea_lib import Oracle
from mea_lib.serving import oip, request_body
from mea_lib.serving import service as service_file
from mea_lib.serving.clients import token_name
from mea_lib.serving.service import BackgroundServer, ServiceSettings, create_app, read_log

# What it answers


def test_answers_are_the_oracles_in_every_form(tiny, digits):
    oracle = Oracle(tiny, decimals=3)
    images = digits.test.images[:30]
    expected = oracle(images).numpy()
    nested = {"name": "images", "datatype": "UINT8", "shape": list(images.shape), "data": images.tolist()}
    with running(oracle) as client:
        for binary_in in (False, True):
            for binary_out in (False, True):
                ask = question(images, "z", binary_in, binary_data_output=binary_out)
                response = client.post(INFER, **ask)
                assert (oip.HEADER_LENGTH in response.headers) == binary_out
                fields, found = read(response)
                np.testing.assert_allclose(found, expected, rtol=1e-6)
                assert found.dtype == np.float32
                assert fields.pop("outputs")
                assert fields == {"model_name": "classifier", "model_version": "1", "id": "z"}
        fields, found = read(client.post(INFER, json={"inputs": [nested]}))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert "id" not in fields
    assert all(round(value, 3) == value for value in fields["outputs"][0]["data"])


def test_an_output_may_be_asked_for_by_name_and_in_its_own_form():
    with running() as client:
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
            assert read(response)[1].shape == (2, 2)


def test_it_describes_itself(tiny):
    oracle = Oracle(tiny, budget=3)
    with running(oracle, tuple("0123456789"), name="digits", version="3", batch_limit=9) as client:
        assert client.get("/v2/health/live").json() == {"live": True}
        assert client.get("/v2/health/ready").json() == {"live": True, "ready": True}
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
        assert oracle.remaining == 1  # the number of classes was found at no cost


def test_a_model_that_cannot_be_asked_about_nothing_does_not_say_its_classes():
    def needs_an_image(images):
        images[0]
        return linear(images)

    with running(needs_an_image) as client:
        found = client.get("/v2/models/classifier").json()
        assert found["outputs"][0]["shape"] == [-1, -1]
        assert found["parameters"] == {"batch_limit": 256}
        read(client.post(INFER, **question(some(3))))


# What it refuses


def entry(**changes):
    found = {"name": "images", "datatype": "UINT8", "shape": [1, *SHAPE], "data": [7] * 256}
    return {name: value for name, value in (found | changes).items() if value is not ...}


def body(*entries, **fields):
    return json.dumps({"inputs": list(entries)} | fields).encode()


BINARY = body(entry(data=..., parameters={"binary_data_size": 256}))
PLAIN = [{"name": "probabilities"}]
NONE_FOR_THIS_MODEL = [
    (b"", "not JSON"),
    (b"\x00\xff garbage", "not JSON"),
    (b"[" * 100_000 + b"]" * 100_000, "not JSON"),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not JSON"),
    (b'{"inputs":' + b"[" * 900 + b"]" * 900 + b"}", "'inputs.0': input should be a JSON object"),
    (b"[]", "the message is refused: input should be a JSON object"),
    (b"3", "the message is refused: input should be a JSON object"),
    (b"{}", "'inputs': field required"),
    (b'{"inputs": {}}', "'inputs': input should be a valid list"),
    (b'{"inputs": [1]}', "'inputs.0': input should be a JSON object"),
    (body(), "'inputs': list should have at least 1 item"),
    (body(entry(), entry(name="more")), "'inputs': list should have at most 1 item"),
    (body(*[1] * 100_000), "'inputs': list should have at most 1 item"),
    (body(entry(name=...)), "'inputs.0.name': field required"),
    (body(entry(name=3)), "'inputs.0.name': input should be 'images'"),
    (body(entry(name="input")), "'inputs.0.name': input should be 'images'"),
    (body(entry(datatype="FP32")), "'inputs.0.datatype': input should be 'UINT8'"),
    (body(entry(datatype=["UINT8"])), "'inputs.0.datatype': input should be 'UINT8'"),
    (body(entry(shape=...)), "'inputs.0.shape': field required"),
    (body(entry(shape=[-1, *SHAPE])), "'inputs.0.shape.0': input should be greater than or equal to 0"),
    (body(entry(shape=[1.0, *SHAPE])), "'inputs.0.shape.0': input should be a valid integer"),
    (body(entry(shape=[True, *SHAPE])), "'inputs.0.shape.0': input should be a valid integer"),
    (body(entry(shape=[1] * 33)), "'inputs.0.shape': list should have at most 32 items"),
    (body(entry(shape=SHAPE)), "must be [-1, 1, 16, 16], not [1, 16, 16]"),
    (body(entry(shape=[256])), "must be [-1, 1, 16, 16], not [256]"),
    (body(entry(shape=[1, 16, 16, 1])), "must be [-1, 1, 16, 16]"),
    (body(entry(shape=[1, 1, 16, 17])), "256 numbers, but its shape is"),
    (body(entry(shape=[2**60, 2**60])), "256 numbers, but its shape is"),
    (body(entry(shape=[0, 2**62, 2**62], data=[])), "no tensor can have"),
    (body(entry(shape=[0, *SHAPE], data=[])), "is empty; send 1 to 4 images"),
    (
        body(entry(shape=[5, *SHAPE], data=[7] * 1280)),
        "5 images are too many for one request; send at most 4",
    ),
    (body(entry(data=...)), "either 'data' or the parameter"),
    (body(entry(parameters={"binary_data_size": 256})), "either 'data' or the parameter"),
    (body(entry(parameters=[])), "'inputs.0.parameters': input should be a JSON object"),
    (body(entry(data="AAAAAA")), "'inputs.0.data': input should be a valid list"),
    (body(entry(data=[[7] * 16] * 16)), "nested otherwise"),
    (body(entry(data=[[7] * 255, 7])), "nested otherwise"),
    (body(entry(data=[7] * 255 + [[7]])), "'255': input should be a valid integer"),
    (body(entry(data=[7] * 255 + [256])), "'255': input should be less than or equal to 255"),
    (body(entry(data=[7] * 255 + [-1])), "'255': input should be greater than or equal to 0"),
    (body(entry(data=[7] * 255 + [2**70])), "'255': input should be"),
    (body(entry(data=[7] * 255 + [7.0])), "'255': input should be a valid integer"),
    (body(entry(data=[7] * 255 + [True])), "'255': input should be a valid integer"),
    (body(entry(data=[7] * 255 + [None])), "'255': input should be a valid integer"),
    (body(entry(data=[7] * 255 + ["7"])), "'255': input should be a valid integer"),
    (body(entry(data=[7] * 255 + [math.nan])), "not JSON"),
    (body(entry(), id=3), "'id': input should be a valid string"),
    (body(entry(), id="x" * 257), "'id': string should have at most 256"),
    (body(entry(), outputs="probabilities"), "'outputs': input should be a valid list"),
    (body(entry(), outputs=[{}]), "'outputs.0.name': field required"),
    (body(entry(), outputs=[{"name": "logits"}]), "'outputs.0.name': input should be 'probabilities'"),
    (body(entry(), outputs=PLAIN * 2), "'outputs': list should have at most 1 item"),
    (body(entry(), parameters=[1]), "'parameters': input should be a JSON object"),
    (
        body(entry(), parameters={"binary_data_output": "yes"}),
        "'parameters.binary_data_output': input should be",
    ),
    (BINARY, "only 0 follow"),
    (BINARY + bytes(256), "not JSON"),
]
WITH_BYTES = [
    (BINARY + bytes(255), None, "only 255 follow"),
    (BINARY + bytes(257), None, "1 bytes are left over"),
    *(
        (BINARY + bytes(256), length, "must be the length")
        for length in ("-1", "+5", "", "1e2", str(len(BINARY) + 257), "9" * 5_000, str(2**63))
    ),
    *((BINARY + bytes(256), str(length), "not JSON") for length in (0, len(BINARY) - 1, len(BINARY) + 1)),
    *(
        (body(entry(data=..., parameters={"binary_data_size": size})) + bytes(256), None, words)
        for size, words in (
            (-6, "takes 256 bytes, not -6"),
            (255, "takes 256 bytes"),
            (2**63, "takes 256 bytes"),
            (256.0, "input should be a valid integer"),
            ("256", "input should be a valid integer"),
            (True, "input should be a valid integer"),
        )
    ),
]


def test_a_request_that_is_none_is_refused_in_one_sentence_and_costs_nothing(tmp_path):
    log = tmp_path / "log"
    with running(batch_limit=4, client_budget=2, max_body_bytes=10**6, log=log) as client:
        for content, words in NONE_FOR_THIS_MODEL:
            response = client.post(INFER, content=content)
            refused(response, 400, words)
            assert len(response.json()["error"]) < 400
        for content, length, words in WITH_BYTES:
            headers = {oip.HEADER_LENGTH: str(content.index(b"\0")) if length is None else length}
            refused(client.post(INFER, content=content, headers=headers), 400, words)
        assert read_log(log) == []
        assert read(client.post(INFER, **question(some(2))))[0]["parameters"] == {"remaining_budget": 0}


def test_null_members_are_absent_ones():
    tensor = entry(parameters=None)
    with running() as client:
        for outputs in (None, [{"name": "probabilities", "parameters": {"binary_data": None}}]):
            said = client.post(INFER, content=body(tensor, id=None, parameters=None, outputs=outputs))
            assert read(said)[1].shape == (1, 2)


@pytest.fixture(scope="module")
def open_service():
    with running() as client:
        yield client


@settings(max_examples=40, deadline=None)
@given(st.binary(max_size=600), st.none() | st.text("0123456789-+e.", max_size=6))
def test_garbage_is_always_the_clients_fault(open_service, content, length):
    headers = {} if length is None else {oip.HEADER_LENGTH: length}
    refused(open_service.post(INFER, content=content, headers=headers), 400)


def test_only_a_token_opens_what_tokens_protect(tmp_path):
    log = tmp_path / "log"
    with running(tokens=("first", "second"), log=log, client_budget=3) as client:
        for path in ("", "/models", "/models/classifier", "/models/classifier/ready", "/models/other"):
            refused(client.get(f"/v2{path}"), 401, "Bearer")
        for shown in (None, "Bearer third", "Bearer", "first", "Basic first", "Bearer \xe9"):
            headers = {} if shown is None else {"Authorization": shown.encode("latin-1")}
            ask = question(some(1))
            response = client.post(INFER, content=ask["content"], headers=ask["headers"] | headers)
            refused(response, 401)
            assert response.headers["www-authenticate"] == "Bearer"
        assert client.get("/v2/health/live").status_code == 200  # probes have no token
        assert client.get("/v2/health/ready").status_code == 200
        for token in ("second", "first"):
            read(client.post(INFER, **question(some(3), token=token)))
            refused(client.post(INFER, **question(some(1), token=token)), 429)
        client.headers["Authorization"] = "BEARER  second"
        assert client.get("/v2/models/classifier").status_code == 200
    assert [entry.client for entry in read_log(log)] == [token_name(b"second"), token_name(b"first")]
    assert b"second" not in log.read_bytes()


def test_wrong_addresses_are_refused():
    with running() as client:
        for path in ("/", "/v1", "/v2/model", "/v2/models/classifier/", "/docs", "/redoc"):
            refused(client.get(path), 404)
        refused(client.get("/v2/models/other"), 404, "unknown model 'other'; this service has 'classifier'")
        refused(client.get("/v2/models/other?name=classifier"), 404)
        refused(client.post("/v2/models/other/infer", **question(some(1))), 404, "unknown model")
        other = "/v2/models/classifier/versions/2/infer"
        refused(client.post(other, **question(some(1))), 404, "version '2'")
        refused(client.get(INFER), 405)
        refused(client.post("/v2/health/live"), 405)
        refused(client.delete("/v2/models/classifier"), 405)
        assert client.get("/v2/models/classifier?version=2").status_code == 200


def test_bodies_that_are_too_large_or_compressed_are_refused_unread():
    limit = 10_000
    with running(max_body_bytes=limit) as client:
        refused(client.post(INFER, content=bytes(20_000_000)), 413, "10000 bytes are the most")
        in_parts = (bytes(1_000) for _ in range(20_000))
        refused(client.post(INFER, content=in_parts), 413, "10000 bytes are the most")
        refused(client.post(INFER, content=bytes(limit)), 400)  # just not too large
        compressed = {"content": b"\x1f\x8b", "headers": {"Content-Encoding": "gzip"}}
        refused(client.post(INFER, **compressed), 415, "as it is")
        read(client.post(INFER, **question(some(3))))


def test_as_many_images_as_are_allowed_fit_by_default_however_they_are_written():
    tensor = entry(shape=[20, *SHAPE], data=some(20, 255).tolist())
    with running(batch_limit=20) as client:
        read(client.post(INFER, content=json.dumps({"inputs": [tensor]})))
        refused(client.post(INFER, content=json.dumps({"inputs": [tensor]}, indent=9)), 413)


def test_a_body_that_does_not_come_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(request_body, "READ_SECONDS", 0.2)
    with running() as client:
        with line(client) as connection:
            connection.sendall(
                f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf".encode()
            )
            assert connection.recv(1_000).startswith(b"HTTP/1.1 408")
        read(client.post(INFER, **question(some(1))))


# What it costs


def test_budgets_are_each_clients_and_outlive_the_process_with_a_log(tiny, tmp_path):
    log, oracle = tmp_path / "log", Oracle(tiny, budget=9)
    with running(oracle, client_budget=10, log=log) as client:
        ask = question(some(7), "a", binary=False)
        assert read(client.post(INFER, **ask))[0]["parameters"] == {"remaining_budget": 3}
        (first,) = read_log(log)  # while it runs, before the next request
        assert (first.client, first.id, first.images) == ("127.0.0.1", "a", 7)
        assert first.sha256 == hashlib.sha256(bytes([7]) * 7 * 256).hexdigest()
        client.headers["X-Forwarded-For"] = "10.9.8.7"  # nobody can name itself another address
        for number, words in ((4, "only 3 of this client's 10"), (3, "only 2 of 9")):
            response = client.post(INFER, **question(some(number)))
            refused(response, 429, "budget is spent", words)
            assert "retry-after" not in response.headers
        assert read(client.post(INFER, **question(some(2))))[0]["parameters"] == {"remaining_budget": 1}
    with running(client_budget=10, log=log) as client:
        refused(client.post(INFER, **question(some(2))), 429, "only 1 of this client's 10")
        assert read(client.post(INFER, **question(some(1))))[0]["parameters"] == {"remaining_budget": 0}
    assert [(entry.first, entry.images) for entry in read_log(log)] == [(0, 7), (7, 2), (9, 1)]


def test_who_asks_too_fast_is_told_when_to_try_again():
    with running(client_budget=10, rate_limit=0.01) as client:
        read(client.post(INFER, **question(some(2))))
        response = client.post(INFER, **question(some(2)))
        refused(response, 429, "0.01 images a second")
        assert 100 < int(response.headers["retry-after"]) <= 200
        response = client.post(INFER, **question(some(9)))
        refused(response, 429, "only 8 of")  # waiting would not help
        assert "retry-after" not in response.headers


def test_many_clients_at_once_never_get_more_than_their_budgets_and_all_of_it_is_logged(tmp_path):
    log, tokens = tmp_path / "log", ("one", "two", "three")

    def unsteady(images):
        if len(images) and images[0, 0, 0, 0] == 255:
            raise RuntimeError("an unlucky image")
        return linear(images)

    with running(unsteady, client_budget=100, tokens=tokens, log=log) as client:

        def ask(number):
            token, unlucky = tokens[number % 3], number % 5 == 4
            images = some(7, 255 if unlucky else number)
            response = client.post(INFER, **question(images, f"{number}", token=token))
            assert response.status_code in ((500, 429) if unlucky else (200, 429)), response.text
            if response.status_code == 200:  # its own answer
                np.testing.assert_allclose(read(response)[1][:, 0], number / 255, rtol=1e-5)
            return token, number, response.status_code

        with ThreadPoolExecutor(24) as pool:
            found = list(pool.map(ask, range(120)))
        after = {token: client.post(INFER, **question(some(2), token=token)) for token in tokens}
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


FAILING = (
    raises,
    lambda images: linear(images) * math.nan,
    lambda images: linear(images)[1:],
    lambda images: linear(images)[:, 0],
    lambda images: torch.ones(len(images), len(images) + 2),
    lambda images: "0.5",
)


def test_a_model_that_fails_is_said_without_details_and_nothing_is_spent(tmp_path, caplog):
    log, model = tmp_path / "log", linear
    with running(
        lambda images: model(images) if len(images) else linear(images), client_budget=2, log=log
    ) as client:
        with caplog.at_level(logging.ERROR):
            for model in FAILING:  # noqa: B007
                response = client.post(INFER, **question(some(2), "q"))
                refused(response, 500, "nothing was spent")
                assert "secret" not in response.text
                assert "Traceback" not in response.text
        model = linear
        read(client.post(INFER, **question(some(2), "q")))
    assert caplog.text.count("a question about 2 images was not answered") == 6  # its owner reads why
    assert [(entry.status, entry.first) for entry in read_log(log)] == [(500, None)] * 6 + [(200, 0)]


def test_without_its_log_nothing_is_answered(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with running(client_budget=2, log=folder / "log") as client:
        shutil.rmtree(folder)
        refused(client.post(INFER, **question(some(2))), 500, "nothing was spent")
        folder.mkdir()
        assert read(client.post(INFER, **question(some(2))))[0]["parameters"] == {"remaining_budget": 0}


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

    with running(busy, log=log) as client:
        responses = asyncio.run(ask_all(client.server.url))
    for number, response in enumerate(responses):
        fields, found = read(response)
        assert fields["id"] == str(number)
        assert found[0, 0] == pytest.approx(number / 255)
    assert sorted(int(entry.id) for entry in read_log(log)) == list(range(200))


# How it is started and ended


def test_a_server_ends_with_its_block_and_its_application_can_be_run_again():
    app, before = create_app(linear, SHAPE), threading.active_count()
    for _ in range(2):
        with BackgroundServer(app) as server:
            assert httpx.post(f"{server.url}{INFER}", **question(some(1))).status_code == 200
            port = int(server.url.rpartition(":")[2])
            with pytest.raises(OSError, match=f"cannot listen at 127.0.0.1, port {port} .*choose another"):
                BackgroundServer(app, port).__enter__()
            with pytest.raises(OSError, match="choose another"):
                service_file.serve(app, port=port)
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


def test_ctrl_c_ends_it_quietly(tmp_path):
    with child(tmp_path / "log") as (process, client, said):
        read(client.post(INFER, **question(some(1))))
        os.kill(process.pid, signal.SIGINT)
        process.join(60)
    assert process.exitcode == 0
    assert "Traceback" not in said.read_text()


def test_a_kill_loses_no_answered_question_and_grants_none_twice(tmp_path):
    log, answered = tmp_path / "log", []
    with child(log) as (process, client, _):

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
    entries = read_log(log)
    assert set(answered) <= {entry.id for entry in entries}
    assert [entry.first for entry in entries] == list(range(len(entries)))
    with running(log=log, client_budget=len(entries) + 1) as client:
        assert read(client.post(INFER, **question(some(1))))[0]["parameters"] == {"remaining_budget": 0}


# What it is made from


@pytest.mark.parametrize("name", ["v1.2", "...a", "A-b_c~d", "1", "a" * 128])
def test_a_name_that_is_taken_works_in_the_address_as_it_is_printed(name):
    with running(name=name, version=name) as client:
        for path in (f"/v2/models/{name}", f"/v2/models/{name}/versions/{name}"):
            assert client.get(path).json()["name"] == name
            read(client.post(f"{path}/infer", **question(some(1))))


NO_NAMES = ("", "a/b", ".", "..", "a?b", "a#b", "a b", "a\n", "a%20b", "größe", "a\\b", "\x00", "a" * 129)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        *(({"name": name}, "the name stands in the address.*this is none") for name in NO_NAMES),
        ({"version": ".."}, "the version stands in the address.*this is none"),
        ({"batch_limit": 0}, "batch_limit must be at least 1"),
        ({"client_budget": -1}, "client_budget must be at least 0"),
        ({"max_body_bytes": 0}, "max_body_bytes"),
        ({"rate_limit": 0}, "rate_limit"),
        ({"rate_limit": math.nan}, "rate_limit"),
        ({"tokens": "secret"}, r"write \(token,\)"),
        *(({"tokens": (token,)}, "a token is made of") for token in ("", "two words", "naïve", "line\n")),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        ServiceSettings(**options)


def test_tokens_are_not_printed():
    assert "secret" not in repr(ServiceSettings(tokens=("secret",)))


def test_shapes_and_names_of_classes_that_are_none_are_refused():
    for shape in [(1, 16), (0, 16, 16), (1, 16, 16.0), (2, 1, 16, 16)]:
        with pytest.raises(ValueError, match=r"\(C, H, W\)"):
            create_app(linear, shape)
    with pytest.raises(ValueError, match="tells 2 classes apart, but 3 names"):
        create_app(linear, SHAPE, classes=("a", "b", "c"))


WITHOUT_EXTRA = """
import sys, mea_lib, mea_lib.serving
print(sorted({"fastapi", "httpx", "orjson", "pydantic", "uvicorn"} & set(sys.modules)))
for missing, module in [
    ("orjson", "oip"), ("pydantic", "oip"), ("orjson", "service"), ("uvicorn", "service"), ("fastapi", "service"),
    ("httpx", "remote"),
]:
    sys.modules[missing] = None
    try:
        __import__(f"mea_lib.serving.{module}")
    except ImportError as error:
        print(missing in str(error), str(error).endswith('run: pip install "mea-lib[service]"'))
    del sys.modules[missing]
"""


def test_the_package_does_without_the_extra_and_says_what_needs_it():
    command = [sys.executable, "-c", WITHOUT_EXTRA]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert found.splitlines() == ["[]"] + ["True True"] * 6
