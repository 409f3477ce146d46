"""The key and its commitment hash."""

import hashlib
from dataclasses import replace

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


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "[]",
        '{"sources": ["a", "b"], "target": "c", "target": "d"}',
        '{"sources": ["a", "b"], "target": "c", "salt": 1}',
        '{"sources": "ab", "target": "c"}',
        '{"sources": [0, 1], "target": true}',
        '{"sources": [0, 1], "target": 2.0}',
        '{"sources": ["a", "b"], "target": "c", "seed": 1.5}',
        '{"sources": [0, -1], "target": 2}',
    ],
)
def test_text_that_is_no_key(text):
    with pytest.raises(ValueError, match="not a watermark key"):
        WatermarkKey.from_json(text)


@pytest.mark.parametrize(
    ("sources", "target", "error"),
    [
        (("Ankle boot", "Coat"), 9, ValueError),
        ((0, "Coat"), 9, ValueError),
        ((0, 1), True, TypeError),
        ((False, 1), 2, TypeError),
        ((0, 1), 2.0, TypeError),
        (("a", "b"), None, TypeError),
        (("a", ""), "c", ValueError),
        ("ab", "c", TypeError),
    ],
)
def test_names_and_numbers_are_never_mixed_or_guessed(sources, target, error):
    with pytest.raises(error):
        WatermarkKey(sources, target)


def test_a_key_of_numbers_is_the_key_of_their_names(digits):
    by_number, by_name = WatermarkKey((3, 7), 1), WatermarkKey(("3", "7"), "1")
    assert by_number.indices(digits.test) == by_name.indices(digits.test) == (3, 7, 1)
    assert by_number.named(digits.test) == by_name


def test_a_number_beyond_the_classes_is_refused(digits):
    with pytest.raises(ValueError, match="no class number 10"):
        WatermarkKey((3, 7), 10).indices(digits.test)


def test_names_stay_names_where_they_look_like_other_numbers(digits):
    """A data set may call its class number 0 "7": the name decides, never the position."""
    renamed = replace(digits.test, classes=tuple("7654321098"))
    assert WatermarkKey(("3", "7"), "1").indices(renamed) == (4, 0, 6)


def test_options_tell_numbers_by_their_sign():
    assert WatermarkKey.from_options(("#3", "#7"), "#1").sources == (3, 7)
    assert WatermarkKey.from_options(("3", "7"), "1").sources == ("3", "7")
    with pytest.raises(ValueError, match="not both"):
        WatermarkKey.from_options(("#3", "7"), "1")


def test_a_name_in_another_unicode_form_is_the_same_name():
    assert WatermarkKey(("e\u0301toile", "b"), "c") == WatermarkKey(("\u00e9toile", "b"), "c")
