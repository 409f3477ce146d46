"""Whole messages between the judge and an entry's process: each has a deadline and a bound, whatever is sent."""

import socket
import struct
import time

_LENGTH = struct.Struct("!Q")
_AT_ONCE = 1 << 20


class MessageTooLong(ValueError):
    """A message was announced that is longer than any that was expected."""


class Channel:
    """Sends and receives bytes over a connected stream socket.

    A message is its length (8 bytes, big-endian) and its bytes. Memory grows with what has arrived, never with what
    was announced.

    Args:
        connection: this end of the line.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, message: bytes, seconds: float | None = None) -> None:
        """Send a message; the other side must have taken all but the socket's buffer of it in this time.

        Raises:
            TimeoutError: when it has not. The line is of no use afterwards.
            OSError: when the line is closed.
        """
        if seconds is not None and seconds <= 0:
            raise TimeoutError("there was no time left to send a message")
        self._connection.settimeout(seconds)
        self._connection.sendall(_LENGTH.pack(len(message)) + message)

    def receive(self, most: int, seconds: float | None = None) -> bytes:
        """The next message, when it is whole.

        Args:
            most: bytes it may have.
            seconds: until its last byte must be here; None waits for ever.

        Raises:
            TimeoutError: when it is not. The line is of no use afterwards.
            MessageTooLong: as soon as a longer one is announced.
            EOFError, OSError: when the line is closed.
        """
        deadline = None if seconds is None else time.monotonic() + seconds
        (length,) = _LENGTH.unpack(self._take(_LENGTH.size, deadline))
        if length > most:
            raise MessageTooLong(
                f"a message of {length:,} bytes was sent where at most {most:,} are expected"
            )
        return self._take(length, deadline)

    def close(self) -> None:
        """Close this end."""
        self._connection.close()

    def _take(self, length: int, deadline: float | None) -> bytes:
        taken = bytearray()
        while len(taken) < length:
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise TimeoutError("the message was not whole in time")
            self._connection.settimeout(left)
            part = self._connection.recv(min(length - len(taken), _AT_ONCE))
            if not part:
                raise EOFError("the line was closed")
            taken += part
        return bytes(taken)
