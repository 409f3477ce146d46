"""Hidden keys: the same ones for the same secret, none for another, and no pair of classes twice."""

import hashlib
import hmac
import json
from collections import Counter

import pytest

from mea_lib.arena import hidden_keys, new_secret

CLASSES = tuple("0123456789")
SECRET = "a secret for tests only"


def test_keys_are_those_of_an_hmac_computed_here():
    def lot(*about):
        return hmac.new(SECRET.encode(), json.dumps(about).encode(), hashlib.sha256).digest()

    pairs = sorted(((a, b) for a in CLASSES for b in CLASSES if a < b), key=lambda pair: lot("pair", *pair))
    for key, pair in zip(hidden_keys(SECRET, 5, CLASSES), pairs, strict=False):
        number = int.from_bytes(lot("key", *pair), "big")
        others = [name for name in CLASSES if name not in pair]
        assert key.sources == (pair[::-1] if number % 2 else pair)
        assert key.target == others[number // 2 % 8]
        assert key.seed == number // 16 % 2**31


def test_no_two_keys_share_a_pair_and_more_keys_begin_with_the_same():
    keys = hidden_keys(SECRET, 45, CLASSES)
    assert len({frozenset(key.sources) for key in keys}) == 45
    assert hidden_keys(SECRET, 7, CLASSES) == keys[:7]
    assert hidden_keys(SECRET, 7, CLASSES) == hidden_keys(SECRET, 7, CLASSES)


def test_another_secret_gives_other_keys_and_all_classes_have_their_turn():
    first = [hidden_keys(f"{SECRET} {number}", 1, CLASSES)[0] for number in range(300)]
    assert len({(*key.sources, key.target) for key in first}) > 200
    for counts in (Counter(key.target for key in first), Counter(key.sources[0] for key in first)):
        assert set(counts) == set(CLASSES)
        assert max(counts.values()) < 60  # 30 are expected, and 60 are more than five deviations away


def test_a_key_that_is_refused_is_drawn_anew_from_the_secret():
    first = hidden_keys(SECRET, 5, CLASSES)
    asked = []

    def is_admissible(key):
        asked.append(key)
        return key != first[1]

    keys = hidden_keys(SECRET, 5, CLASSES, is_admissible)
    assert asked[:2] == [*first[:2]]
    assert (keys[0], keys[2:]) == (first[0], first[2:])
    assert keys[1] != first[1]
    assert set(keys[1].sources) == set(first[1].sources)
    assert hidden_keys(SECRET, 5, CLASSES, lambda key: key != first[1]) == keys
    pair = set(first[0].sources)
    assert hidden_keys(SECRET, 4, CLASSES, lambda key: set(key.sources) != pair) == first[1:]
    with pytest.raises(ValueError, match="only 0 of 2 can be drawn"):
        hidden_keys(SECRET, 2, CLASSES, lambda key: False)


def test_what_gives_no_keys_says_why():
    with pytest.raises(ValueError, match="5 characters; take at least 16"):
        hidden_keys("short", 1, CLASSES)
    with pytest.raises(ValueError, match=r"10 classes have 45 pairs.*46 keys"):
        hidden_keys(SECRET, 46, CLASSES)
    with pytest.raises(ValueError, match="a third class"):
        hidden_keys(SECRET, 1, ("a", "b"))
    assert new_secret() != new_secret()
    assert hidden_keys(new_secret(), 1, CLASSES)
