"""Whether a server answers at all, asked before anything waits for it."""

import socket
import threading
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

CONNECT_SECONDS = 4
_PORTS = {"http": 80, "https": 443, "ftp": 21}


class Unreachable(OSError):
    """No connection could be made within CONNECT_SECONDS."""


def check_reachable(url: str, seconds: float = CONNECT_SECONDS) -> None:
    """Connect to the server of an address, or to the proxy that stands before it.

    Looking up a name has no time limit of its own, so it happens in a thread that nobody waits for longer.

    Raises:
        Unreachable: names the server.
    """
    server = urlsplit(url)
    proxy = None if proxy_bypass(server.hostname or "") else getproxies().get(server.scheme)
    if proxy:
        server = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = server.port or _PORTS.get(server.scheme, 80)
    failed: list[OSError | None] = []

    def connect() -> None:
        try:
            socket.create_connection((server.hostname, port), timeout=seconds).close()
            failed.append(None)
        except OSError as error:
            failed.append(error)

    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(seconds)
    reason = failed[0] if failed else f"no answer within {seconds} seconds"
    if reason is not None:
        raise Unreachable(f"{server.hostname} cannot be reached ({reason})")
