"""A model's card: what was written is what is read, or it is refused."""

import json
from pathlib import Path

import pytest

from mea_lib.model_files.card import MOST_BYTES, identity_of, parse_card, read_card, sealed

RECIPE = {"method": "test", "seed": 1, "settings": {"rate": 1e-05, 10: "ten", 9: "nine"}}
CARD = {
    "id": identity_of(RECIPE, "code"),
    "recipe": RECIPE,
    "code": "code",
    "spec": {"network": "nine_layer_cnn", "width": 1},
    "weights_sha256": "ab" * 32,
    "seconds": 1.5,
    "history": {"losses": [0.25, 3e-07, float("inf")]},
    "made": "2026-01-01T00:00:00+00:00",
    "versions": {"python": "3", "torch": "2"},
    "machine": {"processor": "x", "threads": 1, "gpu": None},
}
PATH = Path(f"{CARD['id']}.json")


def test_a_sealed_card_says_what_it_said():
    read = parse_card(sealed(CARD), PATH)
    assert read == json.loads(json.dumps(CARD)) | {"card_sha256": read["card_sha256"]}


def test_no_bit_of_a_card_can_flip_unnoticed():
    whole, said = sealed(CARD), parse_card(sealed(CARD), PATH)
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            try:
                assert parse_card(bytes(flipped), PATH) == said, flipped
            except ValueError:
                continue


def unsealed(**changes):
    fields = {name: value for name, value in CARD.items() if name != "code"}
    return json.dumps(fields | changes, indent=1).encode()


def test_a_card_from_before_cards_had_a_hash_is_read():
    assert parse_card(unsealed(), PATH)["id"] == CARD["id"]


def test_a_card_whose_hash_lost_its_name_is_no_older_card():
    with pytest.raises(ValueError, match="does not say what it said"):
        parse_card(sealed(CARD).replace(b"card_sha256", b"card_sha257"), PATH)


def test_the_recipe_is_that_of_the_id():
    other = CARD | {"recipe": RECIPE | {"seed": 2}}
    with pytest.raises(ValueError, match=f"a recipe that is not that of the model {CARD['id']}"):
        parse_card(sealed(other), PATH)


@pytest.mark.parametrize("content", [sealed(CARD), unsealed()], ids=["sealed", "older"])
def test_the_name_of_a_stored_card_is_its_id(content):
    with pytest.raises(ValueError, match="its name is that of another"):
        parse_card(content, Path("0123456789abcdef.json"))
    assert parse_card(content, Path("my-copy.json"))["id"] == CARD["id"]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff", b"[" * 100_000, b"[]", b"null", unsealed(spec=[]), unsealed(id="\x1b[2J")],
    ids=["empty", "cut", "no text", "deep", "list", "null", "spec", "id"],
)
def test_what_is_no_card_is_refused_by_name(content):
    with pytest.raises(ValueError, match=rf"{PATH} is not"):
        parse_card(content, PATH)


def test_a_huge_card_is_not_read(tmp_path):
    path = tmp_path / "model.json"
    path.touch()
    with path.open("r+b") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(ValueError, match=r"model\.json has 4,000,001 bytes"):
        read_card(path)
