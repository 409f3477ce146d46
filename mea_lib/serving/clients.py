"""Who may query a service, how much in all, and how fast."""

import hashlib
import hmac
import threading
import time
from collections.abc import Callable, Mapping

from mea_lib.blackbox.query_api import BudgetSpent


class TooFast(RuntimeError):
    """A query was refused because the client sends them faster than it may. Nothing was spent on it.

    Attributes:
        seconds: when it may be sent again.
    """

    def __init__(self, seconds: float, rate: float) -> None:
        super().__init__(f"this client may ask {rate:g} images a second; ask again in {seconds:.1f} seconds")
        self.seconds = seconds


class Clients:
    """The clients of a service, safe with several threads.

    With tokens, a client is who shows one of them. Without, everybody may query, and a client is an address.
    Addresses are cheap: where a budget must hold, hand out tokens.

    Args:
        tokens: those whose clients may query.
        budget: queries of each client in all; None for no limit.
        rate: queries of each client in a second; None for no limit. After a request of N images a client has
            to wait N / rate seconds.
        spent: queries that clients have sent before, by name.
        clock: seconds.
    """

    def __init__(
        self,
        tokens: tuple[str, ...] = (),
        budget: int | None = None,
        rate: float | None = None,
        spent: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = [token.encode() for token in tokens]
        self.budget = budget
        self.rate = rate
        self._spent = dict(spent or {})
        self._free_at: dict[str, float] = {}
        self._clock = clock
        self._lock = threading.Lock()

    def identify(self, authorization: str | None, address: str) -> str | None:
        """The name of a client, which tells nothing of its token; None for one that may not query.

        Args:
            authorization: the HTTP header of this name.
            address: where the request comes from.
        """
        if not self._tokens:
            return address
        scheme, _, shown = (authorization or "").partition(" ")
        # HTTP headers are bytes, which servers hand over as Latin-1. Every token is compared, and each in constant
        # time, so that how long a refusal takes tells nothing.
        matches = [hmac.compare_digest(shown.strip().encode("latin-1"), token) for token in self._tokens]
        if scheme.lower() != "bearer" or not any(matches):
            return None
        return token_name(self._tokens[matches.index(True)])

    def charge(self, client: str, images: int) -> int | None:
        """Spend so many images of a client's budget.

        Returns:
            what remains of it; None where there is no limit.

        Raises:
            BudgetSpent: when that is less than `images`.
            TooFast: when the client has to wait first.
        """
        with self._lock:
            spent = self._spent.get(client, 0)
            if self.budget is not None and spent + images > self.budget:
                raise BudgetSpent(
                    f"{images} images were asked, but only {max(self.budget - spent, 0)} of this client's "
                    f"{self.budget} remain"
                )
            if self.rate is not None:
                now = self._clock()
                wait = self._free_at.get(client, now) - now
                if wait > 0:
                    raise TooFast(wait, self.rate)
                self._free_at[client] = now + images / self.rate
            self._spent[client] = spent + images
            return None if self.budget is None else self.budget - spent - images

    def give_back(self, client: str, images: int) -> None:
        """Undo a charge to the budget, for a request that could not be answered."""
        with self._lock:
            self._spent[client] -= images

    def spent(self, client: str) -> int:
        """Queries that a client has sent."""
        with self._lock:
            return self._spent.get(client, 0)


def token_name(token: bytes) -> str:
    """What a client with this token is called in logs: 16 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(token).hexdigest()[:16]
