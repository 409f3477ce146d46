"""A query log belongs to one suspect and one purpose, and what is taken from it is said."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import mea_lib as mea
from mea_lib.blackbox import SuspectError
from mea_lib.serving.remote import RemoteOracle

sys.path.insert(0, str(Path(__file__).parent))

import fake_server as fake


@pytest.fixture
def suspect():
    with fake.serving() as suspect:
        yield suspect


@pytest.fixture
def images(digits):
    return digits.test.images[:40]


@pytest.fixture
def session(suspect, tmp_path):
    return lambda **options: RemoteOracle(suspect.url, log=tmp_path / "log", **options)


def expected(images):
    return torch.from_numpy(fake.rule(images.numpy()))


def another(images):
    """A model that differs where the first is least decided."""
    rows = fake.rule(images)
    rows.sort(1)
    return rows[:, ::-1]


def moved(by):
    return fake.says(lambda batch: fake.tensors(fake.rule(batch) + np.float32([by] + [0] * 9)))


def test_the_log_of_a_suspect_that_was_exchanged_is_refused(suspect, session, images):
    session()(images)
    suspect.always = fake.says(lambda batch: fake.tensors(another(batch)))
    for on_failure in ("raise", "skip"):
        asked = session(on_failure=on_failure)
        with pytest.raises(
            ValueError, match=r"not this suspect's any more: of 8 images .* \d got another answer"
        ):
            asked(images)
        assert asked.queries == 8


def test_answers_are_asked_again_once_a_session_and_the_least_decided_ones(suspect, session, images):
    session()(images)
    suspect.answered.clear()
    asked = session()
    assert torch.equal(asked(images[:20]), expected(images[:20]))
    assert torch.equal(asked(images), expected(images))
    first, second = expected(images[:20]).topk(2, dim=1).values.unbind(1)
    least = (first - second).argsort()[:8]
    assert set(suspect.answered) == {images[number].numpy().tobytes() for number in least}
    assert asked.queries == 8


@pytest.mark.parametrize(
    ("by", "tolerance", "is_refused"), [(1e-4, 0.01, False), (0.05, 0.01, True), (0.05, 1, False)]
)
def test_answers_may_differ_by_a_tolerance(suspect, session, images, by, tolerance, is_refused):
    session()(images)
    suspect.always = moved(by)
    asked = session(log_tolerance=tolerance)
    if is_refused:
        with pytest.raises(ValueError, match="log_tolerance="):
            asked(images)
    else:
        assert torch.equal(asked(images), expected(images))


def test_a_suspect_that_does_not_answer_again_is_said_not_hidden(suspect, session, images):
    session()(images)
    suspect.always = fake.status(403, "not you")
    with pytest.raises(SuspectError, match="403"):
        session()(images)
    asked = session(on_failure="skip")
    assert torch.equal(asked(images), expected(images))
    described = asked.describe()
    assert (described["asked_now"], described["from_log"], described["sent"]) == (0, 40, 0)
    assert described["log_check"] == "not done: status 403"
    assert asked.failures == {}


def test_the_budget_covers_what_is_asked_again(suspect, session, images):
    session()(images[:30])
    asked = session(budget=17)
    assert asked.cost(images) == 18
    with pytest.raises(mea.BudgetSpent):
        asked(images)
    assert asked.queries == 0


def test_a_log_is_of_one_purpose(session, images):
    session(purpose="verify key 1")(images)
    session(purpose="verify key 1")
    with pytest.raises(ValueError, match="purpose is 'verify key 1', not 'verify key 2'; name another file"):
        session(purpose="verify key 2")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"platform": "onnx"}, "metadata is"),
        ({"parameters": {"classes": list("abcdefghij")}}, "classes is None, not"),
        ({"outputs": [{"name": "probabilities", "datatype": "FP64", "shape": [-1, 10]}]}, "metadata is"),
    ],
)
def test_a_suspect_that_says_something_else_of_itself_is_another(suspect, session, images, changes, words):
    session()(images)
    suspect.metadata = fake.METADATA | changes
    with pytest.raises(ValueError, match=rf"another suspect: .*{words}"):
        session()


def test_what_was_asked_now_and_what_came_from_the_log_are_counted_apart(session, images):
    first = session()
    first(images[:10]), first(images[:10])
    assert (first.describe()["asked_now"], first.describe()["from_log"]) == (10, 0)
    assert first.describe()["log_check"] is None
    second = session()
    second(images)
    assert (second.describe()["asked_now"], second.describe()["from_log"]) == (30, 10)
