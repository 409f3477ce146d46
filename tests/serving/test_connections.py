"""Connections: who holds them for nothing loses them, who has asked is answered, and every refusal is JSON."""

import asyncio
import json
import logging
import socket
import threading
import time
from contextlib import ExitStack

import pytest
from over_http import HEALTH, INFER, SHAPE, as_sent, line, linear, running, some

from mea_lib.serving import connections
from mea_lib.serving.connections import Limits
from mea_lib.serving.inference import Inference
from mea_lib.serving.log_limit import LINES_A_MINUTE, LogLimit
from mea_lib.serving.service import BackgroundServer, ServiceSettings, create_app, read_log

QUICK = Limits(head_seconds=0.3, body_seconds=0.3, linger_seconds=0.3, write_seconds=0.3, idle_seconds=0.3)
REQUEST = as_sent(some(1), id="one")


def said(connection):
    """All that comes until the server ends the connection."""
    parts = []
    try:
        while part := connection.recv(65_536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


def one_answer(connection):
    """The status and the JSON of one answer on a connection that stays."""
    with connection.makefile("rb") as file:
        status = int(file.readline().split()[1])
        headers = dict(line.decode().strip().lower().split(": ", 1) for line in iter(file.readline, b"\r\n"))
        return status, json.loads(file.read(int(headers["content-length"])))


def refusals(answers):
    """Status and error of each answer in these bytes, which must all be JSON of the protocol."""
    found = []
    while answers:
        head, answers = answers.split(b"\r\n\r\n", 1)
        assert b"content-type: application/json" in head.lower()
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body, answers = json.loads(answers[:length]), answers[length:]
        assert list(body) == ["error"]
        found.append((int(head.split()[1]), body["error"]))
    return found


# Who holds a connection for nothing


UNREAD = b"POST /v2/nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\nhalf"
UNFINISHED = {
    "nothing": b"",
    "half a head": HEALTH[:30],
    "half a head after an answer": HEALTH + HEALTH[:30],
    "nothing after an answer": HEALTH,
    "half a body that nobody reads": UNREAD,
    "half a body": REQUEST[:-100],
}


def test_what_stays_unfinished_is_let_go():
    with running(limits=QUICK) as client, ExitStack() as stack:
        held = {what: stack.enter_context(line(client)) for what in UNFINISHED}
        for what, connection in held.items():
            connection.sendall(UNFINISHED[what])
        for what, connection in held.items():
            answers = said(connection)
            assert answers.count(b"HTTP/1.1 200") == UNFINISHED[what].count(HEALTH)
            if "head" in what:
                assert refusals(answers[answers.rindex(b"HTTP/1.1") :]) == [
                    (408, "the head of a request did not come within 0.3 seconds")
                ]


def test_what_comes_byte_by_byte_does_not_put_the_deadline_off():
    with running(limits=QUICK) as client:
        for start in (HEALTH[:-2], UNREAD.replace(b"99", b"99999"), as_sent(some(200))[:-10_000]):
            with line(client) as connection:
                connection.sendall(start)
                for _ in range(6_000):
                    try:
                        connection.sendall(b"1")
                    except OSError:
                        break
                    time.sleep(0.005)
                else:
                    pytest.fail("all of it was taken")


async def answers_at_length(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(1_000):
            await send({"type": "http.response.body", "body": bytes(1_000_000), "more_body": True})


def test_who_does_not_read_what_is_answered_is_let_go():
    with BackgroundServer(answers_at_length, limits=QUICK) as server:
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            connection.sendall(HEALTH)
            assert connection.recv(12) == b"HTTP/1.1 200"
            wait_until(lambda: not server._server.server_state.connections)


def wait_until(holds):
    until = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_model_that_takes_longer_than_all_deadlines_is_waited_for():
    def slow(images):
        time.sleep(1.0 if len(images) else 0)
        return linear(images)

    with running(slow, limits=QUICK) as client, line(client) as connection:
        connection.sendall(REQUEST)
        assert one_answer(connection)[0] == 200


def test_hundreds_that_ask_nothing_keep_nobody_with_a_token_out():
    request = as_sent(some(1), token="secret")
    with running(limits=Limits(connections=8), tokens=("secret",)) as client, line(client) as known:
        known.sendall(request)
        assert one_answer(known)[0] == 200
        with ExitStack() as stack:
            for start in (b"", HEALTH[:30], UNREAD):
                for _ in range(140):
                    stack.enter_context(line(client)).sendall(start)
                with line(client) as new:
                    new.sendall(request)
                    assert one_answer(new)[0] == 200
                known.sendall(request)  # and it did not lose its connection
                assert one_answer(known)[0] == 200
                assert len(client.server._server.server_state.connections) <= 8


def test_where_all_are_being_answered_a_further_one_is_told_to_come_again():
    free, begun = threading.Event(), threading.Semaphore(0)

    def busy(images):
        if len(images):
            begun.release()
            assert free.wait(60)
        return linear(images)

    with running(busy, limits=Limits(connections=2)) as client, line(client) as one, line(client) as other:
        try:
            one.sendall(REQUEST)
            assert begun.acquire(timeout=60)
            other.sendall(REQUEST)
            connected = client.server._server.server_state.connections
            wait_until(lambda: len(connected) == 2 and not any(own.is_waited_for for own in connected))
            with line(client) as third:
                assert refusals(said(third))[0][0] == 503
        finally:
            free.set()
        assert one_answer(one)[0] == one_answer(other)[0] == 200


def test_there_are_never_more_connections_than_half_of_the_files(monkeypatch):
    for files, most in ((256, 128), (100_000, 512), (connections.resource.RLIM_INFINITY, 512)):
        monkeypatch.setattr(connections.resource, "getrlimit", lambda _, files=files: (files, files))
        assert Limits().most_connections() == most


# Who has asked, and closes their side


def closed_after(client, start):
    """All that is said to who sends this and closes their side."""
    with line(client) as connection:
        connection.sendall(start)
        connection.shutdown(socket.SHUT_WR)
        return said(connection)


def test_who_closes_their_side_after_whole_requests_gets_all_answers(tmp_path):
    with running(log=tmp_path / "log", client_budget=100) as client:
        for number in range(20):
            answers = closed_after(client, as_sent(some(2), id=str(number)))
            assert answers.count(b"HTTP/1.1 200") == 1
        answers = closed_after(client, b"".join(as_sent(some(1), id=name) for name in "abc"))
        assert answers.count(b"HTTP/1.1 200") == 3
    assert sum(entry.images for entry in read_log(tmp_path / "log")) == 43


def test_who_closes_their_side_within_a_request_is_refused_and_not_charged(tmp_path):
    with running(log=tmp_path / "log") as client:
        for start in (REQUEST[:-1], REQUEST[:40], HEALTH + REQUEST[:-1]):
            answers = closed_after(client, start)
            assert refusals(answers[answers.rindex(b"HTTP/1.1") :])[0][0] == 400
        assert closed_after(client, b"") == b""
    assert read_log(tmp_path / "log") == []


def test_who_is_gone_before_their_turn_is_not_charged(tmp_path):
    app = create_app(linear, SHAPE, ServiceSettings(log=tmp_path / "log"))
    events = [
        {"type": "http.request", "body": REQUEST.split(b"\r\n\r\n", 1)[1], "more_body": False},
        {"type": "http.disconnect"},
    ]
    scope = {"type": "http", "method": "POST", "path": INFER, "headers": [], "query_string": b"", "state": {}}

    async def receive():
        return events.pop(0)

    async def send(message):
        pass

    asyncio.run(app(scope, receive, send))
    assert events == []
    assert read_log(tmp_path / "log") == []


# What the HTTP library refuses


LAST = b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
ODD = [
    (b"\x00\xff\r\n\r\n", [400]),
    (b"\r\n\r\nGET\r\n\r\n", [400]),
    (b"GET /\xe9 HTTP/1.1\r\nHost: x\r\n\r\n", [400]),
    (b"GET / HTTP/1.1\r\n\r\n", [400]),
    (b"GET / HTTP/one\r\nHost: x\r\n\r\n", [400]),
    (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1_000_000, [400]),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", [400]),
    (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", [400]),
    (f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".encode(), [400]),
    (f"POST {INFER} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n".encode(), [400]),
    (b"PRI * HTTP/2.0\r\nHost: x\r\n\r\nSM\r\n\r\n", [404, 400]),
    (b"OPTIONS *" + LAST, [404]),
    (b"CONNECT x:1" + LAST, [404]),
    (b"GET http://other/v2" + LAST, [404]),
    (b"GET /v2/models/%2e%2e/%ff%00" + LAST, [404]),
    (b"TRACE /v2" + LAST, [405]),
    (b"BREW /v2" + LAST, [405]),
    (f"POST {INFER} HTTP/1.1\r\nHost: x\r\nContent-Length: {10**15}\r\n\r\n".encode(), [413]),
]


def test_every_refusal_is_json_and_the_service_goes_on(tmp_path):
    with running(limits=Limits(linger_seconds=0.1), log=tmp_path / "log") as client:
        for sent, statuses in ODD:
            with line(client) as connection:
                connection.sendall(sent)
                found = [status for status, _ in refusals(said(connection))]
            assert found[: len(statuses)] == statuses, sent[:80]
            assert client.get("/v2/health/live").status_code == 200
    assert read_log(tmp_path / "log") == []


def test_what_nobody_foresaw_is_json_too(monkeypatch):
    def fails(*_):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(Inference, "answer", fails)
    with running() as client, line(client) as connection:
        connection.sendall(REQUEST)
        status, body = one_answer(connection)
    assert status == 500
    assert list(body) == ["error"]
    assert "secret" not in body["error"]


# What all that leaves in the server's log


def test_a_client_cannot_fill_the_log(caplog):
    with running() as client:
        for _ in range(LINES_A_MINUTE + 70):
            with line(client) as connection:
                connection.sendall(b"nonsense\r\n\r\n")
                assert said(connection)
    assert caplog.text.count("Invalid HTTP request") <= 2 * LINES_A_MINUTE  # a minute may end meanwhile


def test_what_was_left_out_of_the_log_is_counted():
    now = [0.0]
    limit = LogLimit(lines=3, clock=lambda: now[0])

    def write(place, level=logging.WARNING):
        record = logging.LogRecord("uvicorn.error", level, "file.py", place, "a %s line", ("bad",), None)
        return record.getMessage() if limit.filter(record) else None

    assert [write(1) for _ in range(5)] == ["a bad line"] * 3 + [None] * 2
    assert write(2) == "a bad line"
    assert [write(1, logging.INFO) for _ in range(5)] == ["a bad line"] * 5
    now[0] = 61.0
    assert write(1) == "a bad line (and 2 more lines like it, which were left out)"
    assert write(1) == "a bad line"


def test_a_server_that_has_ended_by_itself_says_so():
    with BackgroundServer(answers_at_length, limits=QUICK) as server:
        assert server.is_alive
        server._server.should_exit = True
        server._thread.join(10)
        assert not server.is_alive
