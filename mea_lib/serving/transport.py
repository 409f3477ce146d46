"""One request to a server over HTTP: retried where that helps, never longer or larger than was agreed."""

import json
import math
import random
import re
import ssl
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, NoReturn

from mea_lib.blackbox.query_api import BudgetSpent
from mea_lib.blackbox.suspect import SuspectError, printable

try:
    import anyio
    import httpx
    from anyio.from_thread import start_blocking_portal
except ImportError as error:
    raise ImportError(
        f"a suspect behind an address is asked with httpx, but {error.name} is not installed; "
        'run: pip install "mea-lib[service]"'
    ) from error

LONGEST_WAIT_SECONDS = 60.0
FIRST_WAIT_SECONDS = 0.5
LARGEST_BODY_BYTES = 64 << 20
LARGEST_REFUSAL_BYTES = 64 << 10
TRY_AGAIN = (429, 500, 502, 503, 504)
# What servers write in a 400 when a batch is too large: Triton "batch-size must be <= 8", others in their words.
_TOO_LARGE = re.compile(r"batch.{0,3}size|too (large|many|big|long)|at most \d|exceed|limit", re.IGNORECASE)
_NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.WriteError,
    httpx.WriteTimeout,
)


class TooLarge(SuspectError):
    """The server refuses so many images at once."""


class GrantSpent(BudgetSpent, SuspectError):
    """The server refuses because what it grants this client is spent."""


class Fleeting(SuspectError):
    """A failure that another attempt may mend; `wait_seconds` is what the server asks for, if it does."""

    def __init__(self, message: str, reason: str, wait_seconds: float | None = None) -> None:
        super().__init__(message, reason)
        self.wait_seconds = wait_seconds


class Transport:
    """A connection to one origin, open inside a `with` block.

    Redirects are not followed, so that neither images nor the token reach an address nobody named. Unless
    `trust_env` is set, no proxy, certificate file or .netrc is taken from the environment.

    Args:
        url: http or https, with the path below which the protocol's `v2` lies.
        token: sent as `Authorization: Bearer …`.
        timeout: seconds that one attempt may take from connecting to the last byte.
        attempts: how often a request is sent that meets a failure which may pass.
        trust_env: let httpx read HTTP_PROXY, SSL_CERT_FILE and their like.

    Raises:
        ValueError: for an address that is none, or numbers that mean nothing.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        timeout: float = 30.0,
        attempts: int = 6,
        trust_env: bool = False,
    ) -> None:
        try:
            address = httpx.URL(url)
        except (httpx.InvalidURL, TypeError) as error:
            raise ValueError(
                f"{url!r} is no address ({error}); give one such as https://host:8080"
            ) from error
        if address.scheme not in ("http", "https") or not address.host:
            raise ValueError(f"{url!r} is no address of a server; give one such as https://host:8080")
        if address.userinfo:
            raise ValueError(
                "the address holds a password, which would reach the evidence; pass token=… instead"
            )
        if address.query or address.fragment:
            raise ValueError(f"the address {url!r} must end with its path; leave out what follows ? or #")
        if token is not None and not (token and token.isascii() and token.isprintable()):
            raise ValueError(
                "a token is made of printable ASCII characters; check for a line break at its end"
            )
        if not timeout > 0 or attempts < 1:
            raise ValueError(f"timeout must be above 0 and attempts at least 1, not {timeout} and {attempts}")
        # Certificates take longer to read than most answers: once is enough, and without TLS there is no need.
        self._tls: ssl.SSLContext | bool = False
        if address.scheme == "https" or trust_env:
            try:
                self._tls = httpx.create_ssl_context(trust_env=trust_env)
            except OSError as error:
                raise ValueError(
                    f"the certificates that SSL_CERT_FILE or SSL_CERT_DIR names cannot be read ({error}); correct the "
                    "variable, or pass trust_env=False"
                ) from error
        self.url = str(address).rstrip("/")
        self._token = token
        self._timeout = timeout
        self._attempts = attempts
        self._trust_env = trust_env

    def __enter__(self) -> "Transport":
        self._client = httpx.AsyncClient(
            timeout=self._timeout,
            follow_redirects=False,
            trust_env=self._trust_env,
            verify=self._tls,
            headers={"Accept-Encoding": "identity", "Accept": "application/json"}
            | ({"Authorization": f"Bearer {self._token}"} if self._token else {}),
        )
        # httpx limits each read; only a loop that can cancel limits the whole of an answer that drips.
        self._running = start_blocking_portal()
        self._loop = self._running.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            self._loop.call(self._client.aclose)
        finally:
            self._running.__exit__(*error)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        most_bytes: int = LARGEST_BODY_BYTES,
        attempts: int | None = None,
        before: Callable[[], None] = lambda: None,
        taken: Callable[[], None] = lambda: None,
    ) -> tuple[bytes, httpx.Headers]:
        """The body of the server's answer, and its headers.

        Args:
            method: GET or POST.
            path: below the url.
            body: of the request.
            headers: that go with it.
            most_bytes: of the answer, packed or not; no more is read.
            attempts: instead of the usual number.
            before: called before every attempt; what it raises ends the request.
            taken: called after every attempt that the server may charge for: it answered, or the connection
                broke after the request was sent. A refusal costs nothing.

        Raises:
            TooLarge: for 413, or a 400 that says so.
            GrantSpent: for a 429 that names no time to try again.
            SuspectError: for everything else that is no answer.
        """

        exchange = partial(self._exchange, method, path, body, headers, most_bytes)
        attempts = attempts or self._attempts
        for number in range(attempts):
            before()
            try:
                return self._attempt(exchange, most_bytes, taken)
            except Fleeting as error:
                if number + 1 == attempts:
                    raise
                grown = min(FIRST_WAIT_SECONDS * 2**number, LONGEST_WAIT_SECONDS)
                time.sleep(error.wait_seconds or grown + random.uniform(0, FIRST_WAIT_SECONDS))

    def _attempt(
        self, exchange: Callable[[], Any], most_bytes: int, taken: Callable[[], None]
    ) -> tuple[bytes, httpx.Headers]:
        try:
            status, said, answer = self._loop.call(exchange)
        except _NOT_SENT as error:
            raise Fleeting(self._sentence("cannot be reached", error), "not reached") from error
        except (TimeoutError, httpx.TimeoutException) as error:
            taken()
            raise Fleeting(
                f"{self.url} did not finish its answer within {self._timeout:g} seconds", "too slow"
            ) from error
        except httpx.TransportError as error:
            taken()
            raise Fleeting(self._sentence("broke off", error), "broke off") from error
        if status // 100 != 2:
            self._refuse(status, said, _unpacked(answer, LARGEST_REFUSAL_BYTES) or b"")
        taken()
        answer = _unpacked(answer, most_bytes)
        if answer is None:
            raise SuspectError(
                f"{self.url} answered with more than {most_bytes:,} bytes, which no answer to this request "
                "needs; check url, model and output_name=…",
                "too long",
            )
        return answer, said

    async def _exchange(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str] | None, most_bytes: int
    ) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body as it was sent, of which no more is read than just too much."""
        with anyio.fail_after(self._timeout):
            async with self._client.stream(
                method, f"{self.url}/{path}", content=body, headers=headers
            ) as response:
                is_answer = response.status_code // 100 == 2
                limit = most_bytes + 1 if is_answer else LARGEST_REFUSAL_BYTES
                content = bytearray()
                async for part in response.aiter_raw():  # httpx would unpack it without a limit
                    content += part
                    if len(content) >= limit:
                        break
                return response.status_code, response.headers, bytes(content[:limit])

    def _refuse(self, status: int, headers: httpx.Headers, body: bytes) -> NoReturn:
        said = self._short(_words(body))
        message = f"{self.url} answered {status}" + (f": {said}" if said else "")
        if status == 429 and "retry-after" not in headers:
            raise GrantSpent(
                f"{message}; it names no time to try again, so what it grants this client is spent",
                "its budget is spent",
            )
        if status in TRY_AGAIN:
            reason = "busy" if status == 429 else f"status {status}"
            raise Fleeting(message, reason, _seconds(headers.get("retry-after")))
        if status == 413 or (status == 400 and _TOO_LARGE.search(said)):
            raise TooLarge(message, "too large")
        if 300 <= status < 400:
            place = self._short(headers.get("location", "nowhere"))
            raise SuspectError(
                f"{self.url} sends on to {place!r}, which is not followed; name that address if you trust it",
                "sends elsewhere",
            )
        hint = {401: "; pass its token=…", 403: "; pass a token=… that may ask", 404: "; check url and model"}
        raise SuspectError(message + hint.get(status, ""), f"status {status}")

    def _short(self, said: str) -> str:
        """At most 200 printable characters of what the server said, the token not among them."""
        said = said.replace(self._token, "…") if self._token else said
        return printable(said, 200).strip()

    def _sentence(self, what: str, error: Exception) -> str:
        return f"{self.url} {what} ({str(error) or type(error).__name__})"


def _unpacked(body: bytes, most_bytes: int) -> bytes | None:
    """A body, unpacked where it is gzip, whatever its headers say; None for one that is too large."""
    if body.startswith(b"\x1f\x8b"):
        packed = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        with suppress(zlib.error):  # whoever reads it says that it is none of the protocol's
            body = packed.decompress(body, most_bytes) + packed.unconsumed_tail[:1]
    return body if len(body) <= most_bytes else None


def _seconds(retry_after: str | None) -> float | None:
    """What a Retry-After header asks for, seconds or a date, cut to the longest wait; None for neither."""
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def _words(body: bytes) -> str:
    """What a server says of its refusal: the protocol's "error", FastAPI's "detail", or whatever text it sends."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return body.decode("utf-8", "replace")
    return str(content.get("error") or content.get("detail") or "") if isinstance(content, dict) else ""
