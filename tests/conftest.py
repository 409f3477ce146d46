"""Small data and models that several tests share."""

import multiprocessing
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

import mea_lib as mea
from mea_lib.models import Input, build
from mea_lib.training import Store, TrainingSettings, device

torch.set_num_threads(1)
# In bfloat16 an answer depends on the other images of its batch, and an image on a border may be called otherwise. What
# the tests promise to the last digit is meant for float32, whatever the processor of the machine that they run on.
PROCESSORS_OWN = device._cpu_multiplies_bfloat16
device._cpu_multiplies_bfloat16 = lambda: False


@pytest.fixture
def processors_own_precision(monkeypatch) -> None:
    """For a test that compares with a process of its own, which knows nothing of the line above."""
    monkeypatch.setattr(device, "_cpu_multiplies_bfloat16", PROCESSORS_OWN)


@pytest.fixture(scope="session")
def digits() -> mea.Data:
    """scikit-learn's digits, which need no download; owner and adversary both have all, for there are few."""
    parties = mea.load("digits", mea.preset("smoke"))
    both = (parties.owner, parties.adversary)
    images = torch.cat([party.images for party in both])
    labels = torch.cat([party.labels for party in both])
    whole = mea.ImageSet(images, labels, parties.owner.classes, "digits")
    return replace(parties, owner=whole, adversary=whole, number_of_queries=1_000)


@pytest.fixture(scope="session")
def learning() -> mea.Scale:
    """A scale at which small networks learn the digits: owners and adversaries train for 12 short epochs."""
    training = TrainingSettings(12, 64, 5e-3, augment=False)
    return mea.preset("smoke").but(owner=training, adversary=training)


@pytest.fixture(scope="session")
def quick() -> mea.Scale:
    """A scale at which nothing is learnt but what a method does can be seen: one epoch for everybody."""
    training = TrainingSettings(1, 64)
    without_labels = training.but(learning_rate=5e-3, weight_decay=1e-4, augment=False)
    parties = {"owner": training, "adversary": training, "encoder": without_labels, "marking": training}
    return mea.preset("smoke").but(**parties)


@pytest.fixture(scope="session")
def victim(digits, learning, store_of_the_session):
    """A clean model that has learnt the digits."""
    return mea.train_clean(digits.owner, learning)


@pytest.fixture
def at_once() -> Callable[..., list[Any]]:
    """Runs `function(number, together)` in several processes at once, and lists what they returned.

    `together.wait()` holds a process until all have come to it. What one raises, the test raises.
    """
    context = multiprocessing.get_context("fork")

    def run(function: Callable[[int, Any], Any], processes: int) -> list[Any]:
        together, answers = context.Barrier(processes, timeout=60), context.SimpleQueue()

        def child(number: int) -> None:
            try:
                answers.put((number, function(number, together), None))
            except BaseException as error:
                answers.put((number, None, error))

        children = [context.Process(target=child, args=(number,)) for number in range(processes)]
        for one in children:
            one.start()
        found = sorted((answers.get() for _ in children), key=lambda answer: answer[0])
        for one in children:
            one.join(60)
        for _, _, error in found:
            if error is not None:
                raise error
        return [returned for _, returned, _ in found]

    return run


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The chapters first: they take minutes, and whoever begins them last waits for them alone."""
    items.sort(key=lambda item: "chapters" not in item.keywords)


@pytest.fixture(scope="session", autouse=True)
def store_of_the_session(tmp_path_factory) -> Iterator[Store]:
    """The store in use while fixtures of a module or of the session are made."""
    with mea.use_store(tmp_path_factory.mktemp("store")) as kept:
        yield kept


@pytest.fixture(autouse=True)
def store(tmp_path, store_of_the_session) -> Iterator[Store]:
    """The store in use in a test: empty, and the test's own."""
    with mea.use_store(tmp_path / "store") as kept:
        yield kept


@pytest.fixture
def tiny(digits):
    """An untrained network for the digits."""
    return build("nine_layer_cnn", Input.of(digits.owner), classes=10, width=2).eval()


@pytest.fixture(scope="session")
def key() -> mea.WatermarkKey:
    return mea.WatermarkKey(("3", "7"), "1", seed=5)
