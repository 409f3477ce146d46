"""Connections to a web server that nobody can hold for nothing.

uvicorn waits for ever for a request that was begun, and closes a connection whose client has said all it wants to. Here
each step that is the client's has a deadline, a limit holds for all connections together, and what the HTTP library
refuses is JSON like every other error.
"""

import asyncio
import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

try:
    import resource
except ImportError:  # Windows, where a process may open what it likes
    resource = None


@dataclass(frozen=True)
class Limits:
    """What a client may take of a server before it is let go.

    Attributes:
        connections: most at once. Never more than half of the files that the process may open.
        head_seconds: for the head of a request, from its first byte, or from connecting.
        body_seconds: for the rest of it.
        linger_seconds: for the rest of a body that was answered before it was read.
        write_seconds: for reading what was answered.
        idle_seconds: between an answer and the next request.
    """

    connections: int = 512
    head_seconds: float = 15.0
    body_seconds: float = 75.0
    linger_seconds: float = 10.0
    write_seconds: float = 30.0
    idle_seconds: float = 60.0

    def most_connections(self) -> int:
        """The limit on connections that holds in this process."""
        if resource is None:
            return self.connections
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return self.connections if files == resource.RLIM_INFINITY else min(self.connections, files // 2)


class GuardedConnection(H11Protocol):
    """One connection of uvicorn, let go when its client is too slow.

    Where there are too many, a new one takes the place of one that the server is waiting for: rather one whose
    client is not known, then one of the address that holds the most, then the one waited for longest. A connection is
    a known client's once the application has set `request.state.client`. Where all are being answered, the new one is
    refused with 503.

    A client may close its side of the connection after its requests, and gets its answers.
    """

    def __init__(self, *arguments: Any, limits: Limits, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.limits = limits
        self._step: tuple[str, Any] | None = None
        self.since = 0.0
        self._deadline: asyncio.TimerHandle | None = None
        self._has_ended = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Make room where there are too many, and wait for a request."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > self.limits.most_connections():
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Take what came, and see what is waited for now."""
        super().data_received(data)
        self._watch()

    def eof_received(self) -> bool:
        """The client has sent all it will; the connection stays while an answer is to come."""
        self._has_ended = True
        if self._answers_the_rest():
            return True
        if self.conn.trailing_data[0]:
            self._refuse(400, "the request broke off")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing is waited for any more."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(error)

    def on_response_complete(self) -> None:
        """Go on to the next request, unless the client has ended."""
        super().on_response_complete()
        if self._has_ended and not self._answers_the_rest():
            self.transport.close()
        self._watch()

    def pause_writing(self) -> None:
        """The client does not read its answers."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """It does again."""
        super().resume_writing()
        self._watch()

    def shutdown(self) -> None:
        """End after the answer that is being made."""
        if not self.transport.is_closing():
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """What the HTTP library refuses."""
        self._refuse(400, msg)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing: a connection between two requests has its deadline as all others have."""

    @property
    def address(self) -> str | None:
        """Of the client, without the port."""
        return self.client and self.client[0]

    @property
    def is_waited_for(self) -> bool:
        """Whether the next step is the client's."""
        return self._step is not None

    @property
    def is_known(self) -> bool:
        """Whether the application knows the client of the last request."""
        return self.scope is not None and "client" in self.scope["state"]

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _answers_the_rest(self) -> bool:
        """Whether an answer is still to come to a client that has sent all it will; the last one ends the connection."""
        if not self._is_answering or self.transport.is_closing():
            return False
        if self.conn.their_state is h11.SEND_BODY:
            self._refuse(400, "the body broke off")
            return False
        if not self.conn.trailing_data[0]:
            self.cycle.keep_alive = False
        return True

    def _watch(self) -> None:
        """Set the deadline of what is waited for. What comes bit by bit does not put it off."""
        name = self._waited_for()
        step = None if name is None else (name, self.cycle)
        if step == self._step:
            return
        self._step, self.since = step, self.loop.time()
        if self._deadline is not None:
            self._deadline.cancel()
        seconds = None if name is None else getattr(self.limits, f"{name}_seconds")
        self._deadline = None if seconds is None else self.loop.call_later(seconds, self._let_go)

    def _waited_for(self) -> str | None:
        """The step that is the client's: a word of the limits; None while the server has to answer."""
        is_unread = self.transport.is_closing() and self.transport.get_write_buffer_size() > 0
        if self.flow.write_paused or is_unread:
            return "write"
        if self.conn.their_state is h11.SEND_BODY:
            return "body" if self._is_answering else "linger"
        if self._is_answering or self.transport.is_closing():
            return None
        return "head" if self.cycle is None or self.conn.trailing_data[0] else "idle"

    def _let_go(self) -> None:
        """The deadline has passed."""
        if self._step[0] == "head" and self.conn.trailing_data[0]:
            self._refuse(
                408, f"the head of a request did not come within {self.limits.head_seconds:g} seconds"
            )
            self._watch()
        else:
            self.transport.abort()

    def _make_room(self) -> None:
        """End the connection that is missed least, or this one."""
        others = [one for one in self.connections if one.is_waited_for and one is not self]
        if not others:
            self._refuse(503, "the service is answering as many requests as it can; try again")
            return
        held = Counter(one.address for one in self.connections)
        least = min(others, key=lambda one: (one.is_known, -held[one.address], one.since))
        self.connections.discard(least)
        least.transport.abort()

    def _refuse(self, status: int, said: str) -> None:
        """Answer with an error, where no answer was begun, and end the connection."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = json.dumps({"error": said}).encode()
            head = h11.Response(
                status_code=status,
                headers=[
                    ("Content-Type", "application/json"),
                    ("Content-Length", str(len(body))),
                    ("Connection", "close"),
                ],
                reason=STATUS_PHRASES[status],
            )
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event))
        if self._is_answering:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.close()
