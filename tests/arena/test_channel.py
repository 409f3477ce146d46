"""Whole messages: a deadline for the last byte, a bound before the first, however slowly or much is sent."""

import socket
import struct
import threading
import time

import pytest

from mea_lib.arena.channel import Channel, MessageTooLong


@pytest.fixture
def line():
    own, other = socket.socketpair()
    with own, other:
        yield Channel(own), other


def test_messages_arrive_whole_and_in_order(line):
    own, other = line
    sent = [b"", b"+", bytes(range(256)) * 20_000]
    thread = threading.Thread(target=lambda: [Channel(other).send(message) for message in sent])
    thread.start()
    assert [own.receive(10**7, 60) for _ in sent] == sent
    thread.join()


@pytest.mark.parametrize("sent", [b"", b"\0\0\0", struct.pack("!Q", 100) + b"five!"])
def test_a_message_that_stops_half_way_ends_with_the_deadline(line, sent):
    own, other = line
    other.sendall(sent)
    with pytest.raises(TimeoutError):
        own.receive(1_000, 0.05)


def test_dripping_does_not_move_the_deadline(line):
    """A byte comes far more often than the deadline is long, and it is not the bytes that are too few."""
    own, other = line
    ended = threading.Event()

    def drip():
        other.sendall(struct.pack("!Q", 10**6))
        while not ended.is_set():
            other.sendall(b".")
            time.sleep(0.001)

    thread = threading.Thread(target=drip)
    thread.start()
    try:
        with pytest.raises(TimeoutError):
            own.receive(10**6, 0.3)
    finally:
        ended.set()
        thread.join()


@pytest.mark.parametrize("length", [1_001, 2**40, 2**64 - 1])
def test_a_message_that_is_too_long_is_refused_before_it_is_taken(line, length):
    own, other = line
    other.sendall(struct.pack("!Q", length))
    with pytest.raises(MessageTooLong, match=r"where at most 1,000 are expected"):
        own.receive(1_000, 60)


def test_who_does_not_read_holds_nobody_up(line):
    own, _ = line
    with pytest.raises(TimeoutError):
        own.send(bytes(10**7), 0.1)
    with pytest.raises(TimeoutError):
        own.send(b"", 0)


@pytest.mark.parametrize("sent", [b"", struct.pack("!Q", 100) + b"five!"])
def test_a_closed_line_is_said(line, sent):
    own, other = line
    other.sendall(sent)
    other.close()
    with pytest.raises(EOFError):
        own.receive(1_000, 60)
