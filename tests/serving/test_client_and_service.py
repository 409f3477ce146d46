"""Owner and adversary at both ends of HTTP: our client queries our service, with answers as in memory."""

import pytest
import torch
from over_http import running

import mea_lib as mea
from mea_lib.serving.remote import RemoteOracle


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


def serving(model, digits, classes=(), **settings):
    return running(model, classes, shape=digits.test.images.shape[1:], **settings)


def test_answers_are_the_oracles_bit_for_bit_whatever_fits_in_a_request(tiny, digits):
    images = digits.test.images[:100]
    for settings, batch in (({}, 64), ({"batch_limit": 20}, 16), ({"max_body_bytes": 9_000}, 8)):
        served = mea.Oracle(tiny)
        with serving(served, digits, name="clothes", tokens=("abc",), **settings) as client:
            asked = RemoteOracle(client.server.url, token="abc")
            assert asked.model.name == "clothes"  # the only one need not be named
            assert (asked(images) == mea.Oracle(tiny)(images)).all()
        assert (asked.batch_size, asked.queries, served.queries) == (batch, 100, 100)
        assert asked.are_probabilities is True
        assert asked.classes is None


def test_names_of_classes_come_with_the_metadata(tiny, digits):
    with serving(mea.Oracle(tiny), digits, digits.test.classes) as client:
        asked = RemoteOracle(client.server.url)
        assert asked.classes == digits.test.classes
        assert asked.describe()["classes"] == list(digits.test.classes)
        with pytest.raises(ValueError, match="not told alike: 9 classes, 10 names"):
            RemoteOracle(client.server.url, classes=9)


def test_a_verdict_over_http_is_that_in_memory_also_where_a_grant_ended_meanwhile(
    means, digits, key, tmp_path
):
    options = {"plan": mea.Plan(samples=50, fewest_samples=50)}
    here = mea.verify_ownership(mea.Oracle(means), key, digits.test, **options)
    assert here.is_decided
    with serving(mea.Oracle(means), digits, tokens=("one", "two"), client_budget=1_500) as client:
        log = {"log": tmp_path / "log", "batch_size": 50, "on_failure": "skip"}
        first = RemoteOracle(client.server.url, token="one", **log)
        cut_short = mea.verify_ownership(first, key, digits.test, **options)
        assert set(cut_short.failures) == {"its budget is spent"}
        again = RemoteOracle(client.server.url, token="two", **log)
        there = mea.verify_ownership(again, key, digits.test, **options)
    assert (there.failures, there.answered) == ({}, 50)
    assert again.queries < 1_500
    assert (there.wsr, there.wfpr, there.control) == (here.wsr, here.wfpr, here.control)
    assert (there.rank, there.verdict) == (here.rank, here.verdict)
