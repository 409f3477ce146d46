"""Who may query a service, how much and how fast."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from mea_lib import BudgetSpent
from mea_lib.serving.clients import Clients, TooFast, token_name


def test_without_tokens_a_client_is_its_address():
    assert Clients().identify(None, "10.0.0.1") == "10.0.0.1"
    assert Clients().identify("Bearer anything", "10.0.0.1") == "10.0.0.1"


@pytest.mark.parametrize("shown", ["Bearer second", "bearer second", "BEARER  second "])
def test_a_client_with_a_token_is_called_by_its_hash(shown):
    assert Clients(("first", "second")).identify(shown, "10.0.0.1") == token_name(b"second")


def test_names_tell_clients_apart_and_not_their_tokens():
    names = {token_name(token) for token in (b"first", b"second")}
    assert len(names) == 2
    assert all(len(name) == 16 and int(name, 16) >= 0 for name in names)


@pytest.mark.parametrize(
    "shown",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer  ",
        "first",
        "Basic first",
        "Bearer firs",
        "Bearer first2",
        "Bearer é",
        "Bearer FIRST",
    ],
)
def test_without_the_right_token_nobody_is_known(shown):
    assert Clients(("first", "second")).identify(shown, "10.0.0.1") is None


def test_a_budget_is_each_clients_own_and_a_refusal_spends_nothing():
    clients = Clients(budget=10, spent={"old": 8})
    assert clients.charge("a", 7) == 3
    with pytest.raises(BudgetSpent, match="4 images were asked, but only 3 of this client's 10 remain"):
        clients.charge("a", 4)
    assert clients.charge("a", 3) == 0
    assert clients.charge("b", 10) == 0
    with pytest.raises(BudgetSpent, match="only 2"):
        clients.charge("old", 3)
    clients.give_back("a", 3)
    assert clients.charge("a", 2) == 1
    assert [clients.spent(name) for name in ("a", "b", "old", "nobody")] == [9, 10, 8, 0]


def test_without_limits_everything_is_counted_and_nothing_refused():
    clients = Clients()
    assert clients.charge("a", 10**9) is None
    assert clients.spent("a") == 10**9


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


def test_silence_is_not_saved_up():
    now = 0.0
    clients = Clients(rate=10, clock=lambda: now)
    clients.charge("a", 1)
    now = 1_000.0
    clients.charge("a", 10)
    with pytest.raises(TooFast):
        clients.charge("a", 1)


def test_many_threads_never_spend_more_than_there_is():
    clients = Clients(budget=1_000)

    def ask(number):
        try:
            clients.charge("a", 7)
        except BudgetSpent:
            return 0
        if number % 5 == 0:
            clients.give_back("a", 7)
            return 0
        return 7

    with ThreadPoolExecutor(16) as pool:
        answered = sum(pool.map(ask, range(2_000)))
    assert answered == clients.spent("a") <= 1_000
    assert answered > 1_000 - 7
