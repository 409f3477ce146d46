"""What a service is called, whom it answers, and how much."""

import math
import re
from dataclasses import dataclass, field
from pathlib import Path

# What an address holds as it is: the unreserved characters of RFC 3986. "." and ".." are steps of a path.
_IN_ADDRESS = re.compile(r"(?!\.+\Z)[A-Za-z0-9_.~-]{1,128}")


@dataclass(frozen=True)
class ServiceSettings:
    """What a service is called and what it allows.

    Attributes:
        name: of the model, as it stands in the address.
        version: of the model.
        batch_limit: images in one request.
        client_budget: query budget of each client; None for no limit. With a log it outlives the process.
        tokens: a client shows one of them, `Authorization: Bearer …`; without any the service is open, and a client
            is its address.
        log: file of the request log, see `RequestLog`; None for none.
        max_body_bytes: of one request; None takes what `batch_limit` images fill in JSON.
        rate_limit: images a second for each client; None for no limit.

    Raises:
        ValueError: for values that mean nothing.
    """

    name: str = "classifier"
    version: str = "1"
    batch_limit: int = 256
    client_budget: int | None = None
    tokens: tuple[str, ...] = field(default=(), repr=False)
    log: Path | None = None
    max_body_bytes: int | None = None
    rate_limit: float | None = None

    def __post_init__(self) -> None:
        for what, value in (("name", self.name), ("version", self.version)):
            if not _IN_ADDRESS.fullmatch(value):
                raise ValueError(
                    f"the {what} stands in the address, so it is made of 1 to 128 of the letters a to z and A to Z, "
                    f"digits, '-', '_', '.' and '~', and not of dots alone; this is none: {value!r:.200}"
                )
        for what, number, least in (
            ("batch_limit", self.batch_limit, 1),
            ("client_budget", self.client_budget, 0),
            ("max_body_bytes", self.max_body_bytes, 1),
        ):
            if number is not None and number < least:
                raise ValueError(f"{what} must be at least {least}, not {number}")
        if self.rate_limit is not None and not 0 < self.rate_limit < math.inf:
            raise ValueError(f"rate_limit must be above 0 and finite, not {self.rate_limit}")
        if isinstance(self.tokens, str):
            raise ValueError("tokens is a tuple of strings, not one string; write (token,)")
        if any(
            not token or " " in token or not (token.isascii() and token.isprintable())
            for token in self.tokens
        ):
            raise ValueError("a token is made of printable ASCII letters without spaces, at least one")
