"""The body of a request to a service: never larger than agreed, and not waited for without end."""

from collections.abc import AsyncIterator

import anyio
from fastapi import HTTPException, Request
from starlette.requests import ClientDisconnect

READ_SECONDS = 60
DISCARD_SECONDS = 2


async def read_body(request: Request, limit: int) -> bytes:
    """The body of a request.

    Args:
        request: whose body was not read yet.
        limit: bytes; no more of it is kept.

    Raises:
        HTTPException: 415 for one that is compressed, 413 for one above the limit, 408 for one that does not come
            within READ_SECONDS.
        ClientDisconnect: for one that breaks off, or whose client is gone.
    """
    if request.headers.get("content-encoding", "identity") != "identity":
        raise HTTPException(415, "compressed requests are not read here; send the body as it is")
    too_large = HTTPException(413, f"the body is too large; {limit} bytes are the most, so send fewer images")
    stated = request.headers.get("content-length", "0")
    if stated.isdecimal() and int(stated) > limit:
        await _discard(request.stream())
        raise too_large
    parts, size = [], 0
    stream = request.stream()
    try:
        with anyio.fail_after(READ_SECONDS):
            async for part in stream:
                parts.append(part)
                size += len(part)
                if size > limit:
                    break
    except TimeoutError:
        raise HTTPException(408, f"the body did not come within {READ_SECONDS} seconds") from None
    if size > limit:
        await _discard(stream)
        raise too_large
    if await request.is_disconnected():
        raise ClientDisconnect  # nobody is there to be answered, so nobody is charged
    return b"".join(parts)


async def _discard(stream: AsyncIterator[bytes]) -> None:
    """Let a client finish what it is sending, for a moment: one that is cut off never sees why."""
    with anyio.move_on_after(DISCARD_SECONDS):
        async for _ in stream:
            pass
