"""The hammer, struck lightly: nothing that must not happen happens, and it would be noticed."""

import json
from pathlib import Path

import torch

from benchmarks.hammer import clients, files, kills, requests

ROOT = Path(__file__).parent.parent


def test_a_store_outlasts_kills():
    found = kills.strike(kills=20, processes=4, models=60)
    assert found["tried"]["kills"] == 20
    assert found["tried"]["models"] > 10
    assert not any(found["must_be_none"].values()), found


def test_every_recipe_of_the_store_has_weights_of_its_own():
    assert len({kills._digest(kills._make(number)) for number in range(5)}) == 5


def test_a_store_that_gives_another_model_is_noticed(monkeypatch):
    right = kills._make

    def another(number):
        return right(torch.seed() % 2**31)

    monkeypatch.setattr(kills, "_make", another)
    found = kills.strike(kills=1, processes=1, models=2)
    assert found["must_be_none"]["wrong models"] == found["tried"]["models"] > 0


def test_a_crowd_is_held_to_its_budgets():
    found = clients.strike(clients=6, seconds=2, budget=10)
    assert found["tried"]["answered_images"] > 0
    assert not any(found["must_be_none"].values()), found


def test_malformed_requests_are_refused_with_a_reason():
    found = requests.strike(70)
    assert found["tried"]["statuses"].get("400", 0) > 40
    assert not any(found["must_be_none"].values()), found


def test_a_server_that_fails_is_noticed(monkeypatch):
    monkeypatch.setattr(requests, "_mean", lambda images: 1 / 0)
    found = requests.strike(50)
    assert found["must_be_none"]["sound requests that failed"] == 2


def test_hostile_files_are_refused_by_name():
    found = files.strike(len(files.KINDS))
    assert not any(found["must_be_none"].values()), found


def test_what_stands_in_the_book_broke_no_promise():
    path = ROOT / "results" / "hammer.json"
    found = json.loads(path.read_text())
    strikes = [one for one in found.values() if isinstance(one, dict) and "must_be_none" in one]
    assert len(strikes) == 4
    for one in strikes:
        assert not any(one["must_be_none"].values()), one
