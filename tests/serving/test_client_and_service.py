"""Owner and adversary at both ends of HTTP: our client queries our service, with answers as in memory."""

import pytest
import torch

import mea_lib as mea
from mea_lib.serving.remote import RemoteOracle
from mea_lib.serving.service import ServiceSettings, create_app
from mea_lib.serving.web_server import BackgroundServer


class Means(torch.nn.Module):
    """Knows the digits without any training: each image gets the class whose mean is nearest."""

    def __init__(self, owner):
        super().__init__()
        pixels = owner.images.flatten(1).float() / 255
        means = [pixels[owner.labels == label].mean(0) for label in range(len(owner.classes))]
        self.register_buffer("means", torch.stack(means))  # (K, D)

    def forward(self, images):
        pixels = images.flatten(1).float() / 255
        return 2 * pixels @ self.means.T - self.means.square().sum(1)


@pytest.fixture(scope="module")
def means(digits):
    return Means(digits.owner)


def serving(model, digits, **settings):
    shape = tuple(digits.test.images.shape[1:])
    return BackgroundServer(create_app(model, shape, ServiceSettings(**settings)))


@pytest.mark.parametrize(
    ("settings", "batch"), [({}, 64), ({"batch_limit": 20}, 16), ({"max_body_bytes": 9_000}, 8)]
)
def test_answers_are_the_oracles_bit_for_bit_whatever_fits_in_a_request(tiny, digits, settings, batch):
    images = digits.test.images[:100]
    served = mea.Oracle(tiny)
    with serving(served, digits, tokens=("abc",), **settings) as server:
        asked = RemoteOracle(server.url, model="classifier", token="abc")
        assert (asked(images) == mea.Oracle(tiny)(images)).all()
    assert (asked.batch_size, asked.queries, served.queries) == (batch, 100, 100)
    assert asked.are_probabilities is True


def test_the_only_model_need_not_be_named(tiny, digits):
    with serving(mea.Oracle(tiny), digits, name="clothes", tokens=("abc",)) as server:
        assert RemoteOracle(server.url, token="abc").model.name == "clothes"


def test_a_verdict_over_http_is_the_verdict_in_memory(means, digits, key, tmp_path):
    options = {"samples": 50, "fewest_samples": 50}
    here = mea.verify_ownership(mea.Oracle(means), key, digits.test, **options)
    with serving(mea.Oracle(means), digits) as server:
        suspect = RemoteOracle(server.url, model="classifier", log=tmp_path / "log")
        there = mea.verify_ownership(suspect, key, digits.test, **options)
    assert here.is_decided
    assert (there.wsr, there.wfpr, there.control) == (here.wsr, here.wfpr, here.control)
    assert (there.rank, there.verdict) == (here.rank, here.verdict)


def test_a_suspect_whose_grant_ends_leaves_a_verification_that_can_go_on(means, digits, key, tmp_path):
    options = {"samples": 50, "fewest_samples": 50}
    with serving(mea.Oracle(means), digits, tokens=("one", "two"), client_budget=1_500) as server:

        def suspect(token):
            return RemoteOracle(
                server.url,
                model="classifier",
                token=token,
                log=tmp_path / "log",
                batch_size=50,
                on_failure="skip",
            )

        first = mea.verify_ownership(suspect("one"), key, digits.test, **options)
        assert set(first.failures) == {"its budget is spent"}
        again = suspect("two")
        second = mea.verify_ownership(again, key, digits.test, **options)
    assert (second.failures, second.answered) == ({}, 50)
    assert again.queries < 1_500
    assert second.wfpr == mea.verify_ownership(mea.Oracle(means), key, digits.test, **options).wfpr
