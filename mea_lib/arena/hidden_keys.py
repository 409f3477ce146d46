"""Keys that only the holder of a secret can name: drawn from it by a keyed hash, the same ones every time."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from itertools import combinations

from mea_lib.data import WatermarkKey

SHORTEST_SECRET = 16


def new_secret() -> str:
    """128 random bits in hexadecimal, from the system's source for secrets."""
    return secrets.token_hex(16)


def hidden_keys(secret: str, number: int, classes: Sequence[str]) -> tuple[WatermarkKey, ...]:
    """The first keys of a secret; no two share both source classes.

    HMAC-SHA256 under the secret gives every pair of classes a lot; pairs are taken in the order of their lots. A
    second lot of each pair decides which source is the first, which other class is the target, and the key's seed.
    Who does not know the secret learns nothing about a key from the others but that its pair is none of theirs.

    Args:
        secret: at least 16 characters, or all secrets could be tried.
        number: how many keys; of a larger number the first ones are the same.
        classes: names of at least three classes.

    Returns:
        keys of the scheme crop-paste.

    Raises:
        ValueError: for a short secret, too few classes, or more keys than there are pairs.
    """
    if len(secret) < SHORTEST_SECRET:
        raise ValueError(
            f"the secret has {len(secret)} characters; take at least {SHORTEST_SECRET}, as new_secret() gives"
        )
    pairs = list(combinations(classes, 2))
    if len(classes) < 3 or not 0 <= number <= len(pairs):
        raise ValueError(
            f"{len(classes)} classes have {len(pairs)} pairs, and a key needs a third class as its target; "
            f"{number} keys cannot be drawn from them"
        )
    pairs.sort(key=lambda pair: lot(secret, "pair", *pair))
    return tuple(_key(secret, pair, classes) for pair in pairs[:number])


def lot(secret: str, *about: object) -> bytes:
    """HMAC-SHA256 of these values under the secret: 32 bytes that nobody else can compute."""
    return hmac.digest(secret.encode(), json.dumps(about, ensure_ascii=False).encode(), hashlib.sha256)


def _key(secret: str, pair: tuple[str, str], classes: Sequence[str]) -> WatermarkKey:
    drawn = int.from_bytes(lot(secret, "key", *pair))
    drawn, swapped = divmod(drawn, 2)
    others = [name for name in classes if name not in pair]
    drawn, place = divmod(drawn, len(others))
    return WatermarkKey(pair[::-1] if swapped else pair, others[place], seed=drawn % 2**31)
