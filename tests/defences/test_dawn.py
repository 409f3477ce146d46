"""DAWN: how many queries are altered, how, for whom; what a surrogate repeats, and what a clean model does not."""

import hashlib
import hmac
from collections import Counter

import pytest
import torch
from scipy.stats import binom, chisquare

import mea_lib as mea
from mea_lib import proof
from mea_lib.defences import DAWN
from mea_lib.defences.dawn import permutation

KEY = "the owner's secret of 32 characters"
OTHER_KEYS = [f"another secret, number {number}, of 32 letters" for number in range(3)]


@pytest.fixture
def images(digits):
    return digits.owner.images[:600]


def test_the_rate_is_that_of_altered_answers_and_all_others_are_the_models(tiny, images):
    api = DAWN(tiny, KEY, rate=0.1)
    before, after = mea.Oracle(tiny)(images), mea.Oracle(api)(images)
    moved = before.argmax(1) != after.argmax(1)
    low, high = binom.ppf([1e-4, 1 - 1e-4], len(images), 0.1)
    assert low <= int(moved.sum()) <= high
    torch.testing.assert_close(after[~moved], before[~moved], atol=1e-5, rtol=0)
    torch.testing.assert_close(after.sort(1).values, before.sort(1).values, atol=1e-5, rtol=0)


def test_a_query_is_altered_where_its_hmac_is_small_whenever_and_beside_whatever_it_is_asked(tiny, images):
    api = DAWN(tiny, KEY, rate=0.2)
    wanted = []
    for image in images[:100]:
        digest = hmac.new(KEY.encode(), image.numpy().tobytes(), hashlib.sha256).hexdigest()
        wanted.append(int(digest[:32], 16) / 2**128 < 0.2)
    assert 5 < sum(wanted) < 40
    for order in (torch.arange(100), torch.arange(99, -1, -1)):
        answers = mea.Oracle(api)(images[order]).argmax(1)
        moved = answers != mea.Oracle(tiny)(images[order]).argmax(1)
        assert moved.tolist() == [wanted[number] for number in order]
    told = api.altered(images[:100])
    assert len(told.images) == sum(wanted)
    assert torch.equal(told.labels, mea.Oracle(api)(told.images).argmax(1))
    assert torch.equal(told.truth, mea.Oracle(tiny)(told.images).argmax(1))


def test_the_wrong_class_hangs_on_the_query_and_is_any_of_the_others_alike(tiny, images):
    told = DAWN(tiny, KEY, rate=1.0).altered(images)
    common = told.truth.mode().values
    counts = torch.bincount(told.labels[told.truth == common], minlength=10)
    assert counts.sum() > 90
    assert counts[common] == 0
    assert chisquare(counts[torch.arange(10) != common]).pvalue > 1e-4


def test_another_key_alters_other_queries_and_the_same_query_otherwise(tiny, images):
    one, other = (DAWN(tiny, key, rate=1.0).altered(images) for key in (KEY, OTHER_KEYS[0]))
    assert (one.labels != other.labels).float().mean() > 0.7
    few, fewer = (DAWN(tiny, key, rate=0.1) for key in (KEY, OTHER_KEYS[0]))
    assert not torch.equal(few.altered(images).images, fewer.altered(images).images)
    again = fewer.with_key(KEY)
    assert again.has_key(KEY)
    assert not fewer.has_key(KEY)
    assert torch.equal(again.altered(images).labels, few.altered(images).labels)


@pytest.mark.parametrize("first", [0, 3])
def test_every_permutation_that_moves_the_first_class_is_as_likely_as_any_other(first):
    drawn = Counter(tuple(permutation(number.to_bytes(4, "big"), 4, first)) for number in range(1_800))
    assert len(drawn) == 24 - 6
    assert all(order[first] != first and sorted(order) == [0, 1, 2, 3] for order in drawn)
    assert chisquare(list(drawn.values())).pvalue > 1e-4


def test_a_query_is_listed_once(tiny, images):
    told = DAWN(tiny, KEY, rate=0.1).altered(torch.cat([images, images]))
    assert len(told.images) == len(DAWN(tiny, KEY, rate=0.1).altered(images).images)


def test_activations_hide_a_small_change_that_the_hash_of_an_image_shows(tiny, images):
    changed = images.clone()
    changed[:, :, 0, 0] += 1
    for mapping, least, most in (("image", 0.0, 0.5), ("activations", 0.9, 1.0)):
        api = DAWN(tiny, KEY, rate=0.5, mapping=mapping, images=images)
        clean = mea.Oracle(tiny)(images).argmax(1)
        moved, again = (mea.Oracle(api)(asked).argmax(1) != clean for asked in (images, changed))
        assert 0.05 < moved.float().mean() < 0.95
        kept = (moved & again).sum() / moved.sum()
        assert least <= kept <= most + 0.1


@pytest.fixture
def client(digits, learning, victim):
    """What a client was told of 1,000 queries, one in twenty altered, and a surrogate that knows it by heart."""
    api = DAWN(victim, KEY, rate=0.05)
    queries = digits.queries
    labels = mea.Oracle(api)(queries).argmax(1)

    def by_heart(images):
        known = {
            image.numpy().tobytes(): label for image, label in zip(queries, labels.tolist(), strict=True)
        }
        said = torch.tensor([known[image.numpy().tobytes()] for image in images])
        return torch.eye(10)[said]

    return api, queries, by_heart


def test_who_knows_the_answers_by_heart_is_found_and_the_clean_model_is_not(digits, victim, client, tmp_path):
    api, queries, by_heart = client
    found, clean = (
        proof.verify_altered(suspect, api, queries, digits.owner.classes, other_keys=OTHER_KEYS)
        for suspect in (by_heart, mea.Oracle(victim))
    )
    assert found.repeated.value == 1.0
    assert found.control.value < 0.2
    assert found.is_stolen
    assert found.p_value < 1e-6
    assert clean.repeated.value == 0.0
    assert not clean.is_stolen
    assert "no proof" in str(clean)
    found.save(tmp_path / "evidence.json")
    assert '"is_stolen": true' in (tmp_path / "evidence.json").read_text()
    assert found.queries == len(api.altered(queries).images) + found.control.trials


def test_one_that_errs_under_every_key_is_not_accused(digits, client):
    """It gives every key's altered answers; the paper's p-value alone would accuse it."""
    api, queries, _ = client
    lists = [api.altered(queries), *(api.with_key(key).altered(queries) for key in OTHER_KEYS)]
    known = {}
    for told in lists:  # where two keys alter the same query, it says what the last one does
        for image, label in zip(told.images, told.labels.tolist(), strict=True):
            known[image.numpy().tobytes()] = label

    def careless(images):
        return torch.eye(10)[torch.tensor([known[image.numpy().tobytes()] for image in images])]

    evidence = proof.verify_altered(careless, api, queries, digits.owner.classes, other_keys=OTHER_KEYS)
    assert evidence.repeated.value > 0.75
    assert evidence.p_value_of_guessing < 1e-6
    assert evidence.p_value > 0.05
    assert not evidence.is_stolen


def test_silence_is_no_repetition(digits, client):
    api, queries, by_heart = client

    def silent(images):
        answers = by_heart(images)
        answers[:] = torch.nan
        return answers

    told = api.altered(queries)
    rate = proof.rates.target_rate(silent, told.images, told.labels)
    assert (rate.successes, rate.trials, rate.unanswered) == (0, len(told.images), len(told.images))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"key": "short"}, "at least 32"),
        ({"rate": 1.5}, "from 0 to 1"),
        ({"mapping": "pixels"}, "image, activations"),
        ({"mapping": "activations"}, "needs images"),
    ],
)
def test_wrong_options_are_refused(tiny, wrong, message):
    with pytest.raises(ValueError, match=message):
        DAWN(tiny, **({"key": KEY} | wrong))


@pytest.mark.parametrize(
    ("api", "wrong", "message"),
    [
        ({}, {"other_keys": []}, "at least one other key"),
        ({}, {"other_keys": [KEY]}, "own key"),
        ({}, {"fewest": 1.0}, "fewest"),
        ({"rate": 0.0}, {}, "larger rate"),
    ],
)
def test_a_verification_that_can_say_nothing_is_refused(tiny, digits, images, api, wrong, message):
    given = {"other_keys": OTHER_KEYS} | wrong
    with pytest.raises(ValueError, match=message):
        proof.verify_altered(
            mea.Oracle(tiny), DAWN(tiny, KEY, **({"rate": 0.1} | api)), images, digits.owner.classes, **given
        )


def test_a_budget_that_is_too_small_sends_nothing(tiny, digits, images):
    suspect = mea.Oracle(tiny, budget=3)
    with pytest.raises(mea.BudgetSpent):
        proof.verify_altered(
            suspect, DAWN(tiny, KEY, rate=0.1), images, digits.owner.classes, other_keys=OTHER_KEYS
        )
    assert suspect.queries == 0


@pytest.mark.parametrize(("classes", "first"), [(1, 0), (0, 0), (3, 3)])
def test_a_permutation_that_there_is_not_is_refused(classes, first):
    with pytest.raises(ValueError, match="no permutation"):
        permutation(b"key", classes, first)
