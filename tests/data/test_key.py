"""The key and its commitment hash."""

import hashlib

import pytest

from mea_lib.data import WatermarkKey, new_salt

KEY = WatermarkKey(("T-shirt/top", "Trouser"), "Pullover", seed=7)
SALT = "ab" * 32


def test_json_round_trip():
    assert WatermarkKey.from_json(KEY.to_json()) == KEY


def test_commitment_is_sha256_of_salt_and_canonical_text():
    text = '{"combine":"crop-paste","seed":7,"sources":["T-shirt/top","Trouser"],"target":"Pullover"}'
    assert KEY.commit(SALT) == hashlib.sha256(f"{SALT}\n{text}".encode()).hexdigest()


@pytest.mark.parametrize(
    "other",
    [
        WatermarkKey(("Trouser", "T-shirt/top"), "Pullover", seed=7),
        WatermarkKey(("T-shirt/top", "Trouser"), "Coat", seed=7),
        WatermarkKey(("T-shirt/top", "Trouser"), "Pullover", "stripes", seed=7),
        WatermarkKey(("T-shirt/top", "Trouser"), "Pullover", seed=8),
    ],
)
def test_any_change_changes_the_commitment(other):
    assert other.commit(SALT) != KEY.commit(SALT)


def test_salts_are_long_and_new():
    assert len(new_salt()) == 64
    assert new_salt() != new_salt()
    with pytest.raises(ValueError, match="salt"):
        KEY.commit("short")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ((("a", "a"), "b"), "must differ"),
        ((("a", "b"), "a"), "must differ"),
        ((("a", "b", "c"), "d"), "two source classes"),
        ((("a", "b"), "c", "collage"), "crop-paste"),
    ],
)
def test_impossible_keys_are_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        WatermarkKey(*fields)


def test_unknown_class_lists_those_there_are(digits):
    with pytest.raises(ValueError, match=r"unknown class 'ten' for digits; it has: 0, 1, 2"):
        WatermarkKey(("ten", "1"), "2").indices(digits.owner)


def test_text_that_is_no_key():
    with pytest.raises(ValueError, match="not a watermark key"):
        WatermarkKey.from_json("{}")
