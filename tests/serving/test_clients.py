"""How fast a client may query; names and budgets are tested at the service's door."""

import pytest

from mea_lib import BudgetSpent
from mea_lib.serving.clients import Clients, TooFast, token_name


def test_who_asks_too_fast_has_to_wait_and_spends_nothing():
    now = 0.0
    clients = Clients(budget=100, rate=10, clock=lambda: now)
    clients.charge("a", 25)
    with pytest.raises(TooFast, match=r"10 images a second; ask again in 2\.5 seconds") as error:
        clients.charge("a", 1)
    assert error.value.seconds == 2.5
    clients.charge("b", 1)
    now = 2.4
    with pytest.raises(TooFast):
        clients.charge("a", 1)
    now = 2.5
    assert clients.charge("a", 1) == 74
    with pytest.raises(BudgetSpent):  # waiting would not help
        clients.charge("a", 75)
    now = 1_000.0  # silence is not saved up
    clients.charge("a", 10)
    with pytest.raises(TooFast):
        clients.charge("a", 1)
    assert [clients.spent(name) for name in ("a", "b", "nobody")] == [36, 1, 0]


def test_names_tell_clients_apart_and_not_their_tokens():
    names = {token_name(token) for token in (b"first", b"second")}
    assert len(names) == 2
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)
