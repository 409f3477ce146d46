"""A suspect made with the standard library, which behaves as a test's script says."""

import hashlib
import json
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import torch

METADATA = {
    "name": "digits",
    "versions": ["1"],
    "platform": "",
    "inputs": [{"name": "images", "datatype": "UINT8", "shape": [-1, 1, 16, 16]}],
    "outputs": [{"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]}],
}


def rule(images):
    """(N, …) numbers → (N, 10) probabilities that hang on each image's bytes alone."""
    rows = np.stack([np.frombuffer(hashlib.sha256(one.tobytes()).digest(), np.uint8)[:10] for one in images])
    return ((rows + 1.0) / (rows + 1.0).sum(1, keepdims=True)).astype(np.float32)


def expected(images):
    """The same for a suspect's images, as it answers."""
    return torch.from_numpy(rule(images.numpy()))


def tensors(rows, name="probabilities", datatype="FP32"):
    """The body of an ordinary answer."""
    rows = np.asarray(rows)
    output = {
        "name": name,
        "datatype": datatype,
        "shape": list(rows.shape),
        "data": rows.reshape(-1).tolist(),
    }
    return {"model_name": "digits", "model_version": "1", "outputs": [output]}


class Suspect:
    """What the server holds and what it has seen.

    `script` has a behaviour for each inference request to come, called with the handler and the images; when it
    is used up, `always` is called, or the images are answered by the rule.
    """

    def __init__(self):
        self.metadata = METADATA
        self.models = ["digits"]
        self.script = []
        self.always = None
        self.answered = Counter()  # by image
        self.batches = []
        self.paths = []
        self.headers = []
        self.questions = []

    def infer(self, handler, question):
        tensor = question["inputs"][0]
        images = np.array(tensor["data"], dtype=np.uint8 if tensor["datatype"] == "UINT8" else np.float64)
        images = images.reshape(tensor["shape"])
        self.questions.append(question)
        self.batches.append(len(images))
        behaviour = self.script.pop(0) if self.script else self.always
        (behaviour or answer)(handler, images)


def answer(handler, images):
    handler.server.suspect.answered.update(image.tobytes() for image in images)
    handler.reply(200, tensors(rule(images)))


def status(code, text="", **headers):
    """A refusal."""
    return lambda handler, images: handler.reply(code, {"error": text}, headers)


def says(body, **headers):
    """Status 200 and this body: bytes, a value for JSON, or a function of the images that makes one."""
    return lambda handler, images: handler.reply(200, body(images) if callable(body) else body, headers)


def binary(value, row=None):
    """An answer in bytes, with this value in one row or all of them."""

    def behaviour(handler, images):
        rows = rule(images)
        rows[slice(None) if row is None else row, 4] = value
        output = {"name": "p", "datatype": "FP32", "shape": list(rows.shape)}
        output["parameters"] = {"binary_data_size": rows.nbytes}
        head = json.dumps({"outputs": [output]}).encode()
        handler.reply(200, head + rows.tobytes(), {"Inference_Header_Content_Length": str(len(head))})

    return behaviour


def hang_up(handler, images):
    """No answer at all."""
    handler.close_connection = True


def break_off(handler, images):
    """Half of an answer that was promised whole."""
    body = json.dumps(tensors(rule(images))).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def drip(part):
    """An answer, or its headers, one byte at a time, without end."""

    def behaviour(handler, images):
        handler.close_connection = True
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nX: " if part == "headers" else b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while not handler.server.is_closing.wait(0.02):
                handler.wfile.write(b" ")
                handler.wfile.flush()
        except OSError:
            pass

    return behaviour


def flood(handler, images):
    """A body without end, as fast as it goes."""
    handler.close_connection = True
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
    try:
        while not handler.server.is_closing.is_set():
            handler.wfile.write(b" " * 65_536)
    except OSError:
        pass


def late(seconds):
    """An ordinary answer after so long."""

    def behaviour(handler, images):
        time.sleep(seconds)
        answer(handler, images)

    return behaviour


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.respond(None)

    def do_POST(self):
        self.respond(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def respond(self, question):
        suspect = self.server.suspect
        suspect.paths.append(self.path)
        suspect.headers.append(self.headers)
        if self.path.endswith("/infer"):
            suspect.infer(self, question)
        elif self.path == "/v2/repository/index" and suspect.models is not None:
            self.reply(200, [{"name": name, "state": "READY"} for name in suspect.models])
        elif self.path.startswith("/v2/models/") and suspect.metadata is not None:
            self.reply(200, suspect.metadata)
        else:
            self.reply(404, {"error": "not found"})

    def reply(self, code, body, headers=None):
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(code)
        for name, value in (headers or {}).items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that hangs up is what many tests are about."""


@contextmanager
def serving():
    """A suspect on a free port of this machine."""
    server = Server(("127.0.0.1", 0), Handler)
    server.suspect, server.is_closing = Suspect(), threading.Event()
    server.suspect.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.suspect
    finally:
        server.is_closing.set()
        server.shutdown()
        server.server_close()
