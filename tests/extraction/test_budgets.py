"""Every extraction with a budget that is too small: it is spent to the end, and what it paid for is used."""

import hashlib
from dataclasses import replace

import pytest
import torch

import mea_lib as mea
from mea_lib import extraction
from mea_lib.blackbox import Suspect
from mea_lib.extraction import (
    CleanAnswers,
    ContSteal,
    DataFree,
    Distillation,
    Extraction,
    FeatureDistillation,
    GuidedExtraction,
    Jacobian,
    Knockoff,
    MixedDistillation,
    StolenEncoder,
)
from mea_lib.models import Input
from mea_lib.models.encoder import build_encoder

DATA_FREE = DataFree(queries=500, batch=20, noise=8, generator_width=2, surrogate_steps=3)
METHODS = {
    "clean answers": CleanAnswers(),
    "distillation": Distillation(),
    "guided extraction": GuidedExtraction(guide_images=50),
    "jacobian": Jacobian(seed_images=30, rounds=4),
    "knockoff": Knockoff(),
    "knockoff by a bandit": Knockoff(strategy="adaptive", batch=32),
    "mixed distillation": MixedDistillation(),
    "data-free": DATA_FREE,
    "cont-steal": ContSteal(),
    "cont-steal of two views": ContSteal(views_queried=2),
    "feature distillation": FeatureDistillation(),
    "stolen encoder": StolenEncoder(),
}
BUDGET = 150  # fewer than each would send, in parts of any size
every_method = pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
# Without data every image that is sent counts, for the number of them decides how it is trained.
asks_first = pytest.mark.parametrize(
    "method", [pytest.param(method, id=name) for name, method in METHODS.items() if method is not DATA_FREE]
)


@pytest.fixture
def api(method, tiny, digits):
    """Makes an API of a victim that this method extracts, with a budget."""
    if isinstance(method, ContSteal | FeatureDistillation | StolenEncoder):
        shape = {"inputs": Input.of(digits.owner), "width": 2}
        encoder = build_encoder("nine_layer_cnn", **shape).eval()
        return lambda budget: mea.FeatureOracle(encoder, budget)
    return lambda budget: mea.Oracle(tiny, budget)


class Remembering(Suspect):
    """An API that answers again, without charge, what it has answered before, as `RemoteOracle` does."""

    def __init__(self, api, budget):
        self._api, self._known, self.budget, self.asked = api, {}, budget, 0

    @property
    def remaining(self):
        return self.budget - self._api.queries

    def cost(self, *images):
        return len({digest(image) for part in images for image in part} - self._known.keys())

    def __call__(self, images):
        if self.cost(images) > self.remaining:
            raise mea.BudgetSpent(f"{self.cost(images)} new images, but only {self.remaining} remain")
        self.asked += len(images)
        new = {digest(image): image for image in images if digest(image) not in self._known}
        if new:
            self._known |= zip(new, self._api(torch.stack([*new.values()])), strict=True)
        return torch.stack([self._known[digest(image)] for image in images])


def digest(image):
    return hashlib.sha256(image.numpy().tobytes()).digest()


def test_none_is_left_out():
    offered = {getattr(extraction, name) for name in extraction.__all__} - {Extraction}
    assert {type(method) for method in METHODS.values()} == offered


@every_method
def test_a_short_budget_is_spent_to_the_end_and_used(api, digits, quick, store, method):
    oracle = api(BUDGET)
    surrogate = method.extract(oracle, digits.adversary, quick)
    assert oracle.remaining == 0
    assert surrogate.card["id"] in {card["id"] for card in store.cards()}


@every_method
def test_a_spent_budget_is_refused_and_nothing_is_trained(api, digits, quick, store, method):
    with pytest.raises(mea.BudgetSpent):
        method.extract(api(0), digits.adversary, quick)
    assert store.cards() == []


@asks_first
def test_the_same_attack_again_costs_nothing_and_finds_its_surrogate(api, digits, quick, store, method):
    oracle = Remembering(api(None), BUDGET)
    first, second = (method.extract(oracle, digits.adversary, quick).card["id"] for _ in range(2))
    assert first == second
    assert oracle.remaining == 0


@asks_first
def test_what_is_known_already_is_free_and_a_raised_budget_goes_to_what_is_not(api, digits, quick, method):
    oracle = Remembering(api(None), BUDGET)
    method.extract(oracle, digits.adversary, quick)
    oracle.budget, oracle.asked = BUDGET + 100, 0
    method.extract(oracle, digits.adversary, quick)
    assert oracle.remaining == 0
    assert oracle.asked == BUDGET + 100


@pytest.mark.parametrize("method", [DATA_FREE])
def test_a_first_batch_that_is_known_lengthens_an_attack_without_data(api, digits, quick, method):
    oracle = Remembering(api(None), method.batch)
    replace(method, queries=method.batch).extract(oracle, digits.queries[:0], quick)
    assert oracle.remaining == 0
    oracle.budget = method.batch + BUDGET
    surrogate = method.extract(oracle, digits.queries[:0], quick)
    assert oracle.remaining == 0
    assert surrogate.card["history"]["queries"] == method.batch + BUDGET
