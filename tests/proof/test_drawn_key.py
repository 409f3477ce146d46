"""A key that is drawn: every class has its turn, and none is one that null models obey."""

from types import SimpleNamespace

import pytest

import mea_lib
from mea_lib.proof import check_key, draw_key, drawn_key


@pytest.fixture(scope="module")
def test_set():
    return mea_lib.load("digits", mea_lib.preset("smoke")).test


def test_what_is_drawn_is_admissible_and_was_checked(test_set):
    drawn = draw_key(test_set, combine="stripes", samples=200)
    assert drawn.is_admissible
    assert drawn.key.combine == "stripes"
    assert drawn.to_dict() == check_key(drawn.key, test_set, samples=200).to_dict()


def test_whoever_draws_twice_has_two_keys(test_set):
    one, other = (draw_key(test_set, samples=20).key for _ in range(2))
    assert one.seed != other.seed


def said(key, is_admissible):
    return SimpleNamespace(key=key, is_admissible=is_admissible, reason="a null model obeys this key")


def test_a_key_that_null_models_obey_is_drawn_again(test_set, monkeypatch):
    seen = []

    def check(key, *_, **__):
        seen.append(key)
        return said(key, len(seen) == 4)

    monkeypatch.setattr(drawn_key, "check_key", check)
    assert draw_key(test_set).key == seen[3]
    assert len(seen) == 4


def test_every_class_is_a_source_and_a_target_in_turn(test_set, monkeypatch):
    monkeypatch.setattr(drawn_key, "check_key", lambda key, *_, **__: said(key, True))
    keys = [draw_key(test_set).key for _ in range(600)]
    for place in (
        lambda key: key.sources[0],
        lambda key: key.sources[1],
        lambda key: key.target,
    ):
        counts = [sum(place(key) == name for key in keys) for name in test_set.classes]
        assert min(counts) > 25  # of 60 expected; below in one of 10^6 runs
    assert all(len({*key.sources, key.target}) == 3 for key in keys)


def test_where_null_models_obey_every_key_it_ends(test_set, monkeypatch):
    monkeypatch.setattr(drawn_key, "check_key", lambda key, *_, **__: said(key, False))
    with pytest.raises(ValueError, match="null models obey each of 100 keys"):
        draw_key(test_set)
