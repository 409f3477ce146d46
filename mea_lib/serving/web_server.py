"""Running a web application: until it is interrupted, or in the background of a notebook or a test."""

import logging
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

import uvicorn

from mea_lib.serving.connections import GuardedConnection, Limits
from mea_lib.serving.log_limit import limited_logs

START_SECONDS = 30
# Connections that wait to be accepted, and are accepted at once; each is an open file.
BACKLOG = 256


def serve(app: Any, host: str = "127.0.0.1", port: int = 8080, limits: Limits | None = None) -> None:
    """Run an application until Ctrl-C or SIGTERM; requests that were begun are finished first.

    Args:
        app: as `create_app` makes it.
        host: the address to listen at; 0.0.0.0 is reached from other machines too.
        port: 0 takes any that is free.
        limits: what a client may take of the server.

    Raises:
        OSError: for an address or port that cannot be had.
    """
    # uvicorn raises Ctrl-C once more when it has finished.
    with _listen(host, port) as listener, limited_logs(), suppress(KeyboardInterrupt):
        server = _server(app, "info", limits)
        logging.getLogger("uvicorn.error").info("Listening at %s; press Ctrl-C to end", _url(listener))
        server.run(sockets=[listener])


class BackgroundServer:
    """Runs an application in a thread, inside a `with` block.

    Args:
        app: as `create_app` makes it.
        port: 0 takes any that is free.
        host: the address to listen at.
        limits: what a client may take of the server.

    Attributes:
        url: where it is reached, without a slash at the end.

    Raises:
        OSError: for a port that cannot be had.
        RuntimeError: for an application that does not start.
    """

    def __init__(
        self, app: Any, port: int = 0, host: str = "127.0.0.1", limits: Limits | None = None
    ) -> None:
        self._app = app
        self._address = (host, port)
        self._limits = limits
        self.url = ""

    def __enter__(self) -> "BackgroundServer":
        self._listener = _listen(*self._address)
        self.url = _url(self._listener)
        self._server = _server(self._app, "warning", self._limits)
        self._logs = limited_logs()
        self._logs.__enter__()
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._listener]}, name="web server", daemon=True
        )
        self._thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > deadline:
                self.__exit__()
                raise RuntimeError("the web server did not start; what it said is above")
            time.sleep(0.01)
        return self

    @property
    def is_alive(self) -> bool:
        """Whether it still answers; it has ended by itself where it could not go on."""
        return self._thread.is_alive()

    def __exit__(self, *error: object) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._logs.__exit__(None, None, None)
        self._listener.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise OSError(
            error.errno,
            f"cannot listen at {host}, port {port} ({error.strerror}); choose another port or host",
        ) from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _server(app: Any, log_level: str, limits: Limits | None) -> uvicorn.Server:
    """Without trust in X-Forwarded-For, with which every client could name itself another address."""
    return uvicorn.Server(
        uvicorn.Config(
            app,
            http=partial(GuardedConnection, limits=limits or Limits()),
            ws="none",
            backlog=BACKLOG,
            log_level=log_level,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=10,
        )
    )
