"""Keys that only the holder of a secret can name: drawn from it by a keyed hash, the same ones every time."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Sequence
from itertools import combinations, islice

from mea_lib.data import WatermarkKey

SHORTEST_SECRET = 16
DRAWS = 8  # of a pair, before it is left out


def new_secret() -> str:
    """128 random bits in hexadecimal, from the system's source for secrets."""
    return secrets.token_hex(16)


def hidden_keys(
    secret: str,
    number: int,
    classes: Sequence[str],
    is_admissible: Callable[[WatermarkKey], bool] = lambda key: True,
) -> tuple[WatermarkKey, ...]:
    """The first keys of a secret; no two share both source classes.

    Every pair of classes has a keyed hash, HMAC-SHA256 under the secret, and pairs are taken in the order of their
    hashes. A second one of each pair decides which source is the first, which other class is the target, and the
    key's seed. Who does not know the secret learns nothing about a key from the others but that its pair is none of
    theirs.

    Args:
        secret: at least 16 characters, or all secrets could be tried.
        number: how many keys; of a larger number the first ones are the same.
        classes: names of at least three classes.
        is_admissible: keys it refuses are drawn anew from the same secret, as those must be that null models obey
            (`mea_lib.proof.check_key`). A pair of classes whose first DRAWS keys are all refused is left out.

    Returns:
        keys of the scheme crop-paste.

    Raises:
        ValueError: for a short secret, too few classes, or more keys than there are (admissible) pairs.
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
    pairs.sort(key=lambda pair: keyed_hash(secret, "pair", *pair))
    drawn = (_admissible(secret, pair, classes, is_admissible) for pair in pairs)
    keys = tuple(islice((key for key in drawn if key is not None), number))
    if len(keys) < number:
        raise ValueError(
            f"null models obey the keys of so many pairs that only {len(keys)} of {number} can be drawn; "
            "take fewer keys"
        )
    return keys


def keyed_hash(secret: str, *about: object) -> bytes:
    """HMAC-SHA256 of these values under the secret: 32 bytes that nobody else can compute."""
    return hmac.digest(secret.encode(), json.dumps(about, ensure_ascii=False).encode(), hashlib.sha256)


def _admissible(
    secret: str, pair: tuple[str, str], classes: Sequence[str], is_admissible: Callable[[WatermarkKey], bool]
) -> WatermarkKey | None:
    """The first admissible key of a pair; None where none of the first ones is."""
    keys = (_key(secret, pair, classes, draw) for draw in range(DRAWS))
    return next((key for key in keys if is_admissible(key)), None)


def _key(secret: str, pair: tuple[str, str], classes: Sequence[str], draw: int) -> WatermarkKey:
    drawn = int.from_bytes(keyed_hash(secret, "key", *pair, *([draw] if draw else [])))
    drawn, swapped = divmod(drawn, 2)
    others = [name for name in classes if name not in pair]
    drawn, place = divmod(drawn, len(others))
    return WatermarkKey(pair[::-1] if swapped else pair, others[place], seed=drawn % 2**31)
