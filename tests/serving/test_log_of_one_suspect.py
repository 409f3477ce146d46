"""A query log belongs to one suspect and one purpose, survives its process, and what is taken from it is said."""

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import mea_lib as mea
from mea_lib.blackbox import SuspectError
from mea_lib.serving.remote import RemoteOracle

sys.path.insert(0, str(Path(__file__).parent))

import fake_server as fake
from fake_server import expected


@pytest.fixture
def images(digits):
    return digits.test.images[:40]


@pytest.fixture
def session(suspect, tmp_path):
    return lambda **options: RemoteOracle(suspect.url, log=tmp_path / "log", **options)


def another(images):
    """A model that differs where the first is least decided."""
    rows = fake.rule(images)
    rows.sort(1)
    return rows[:, ::-1]


def moved(by):
    return fake.says(lambda batch: fake.tensors(fake.rule(batch) + np.float32([by] + [0] * 9)))


# It is of one suspect


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


def test_answers_may_differ_by_a_tolerance(suspect, session, images):
    session()(images)
    for by, tolerance, is_refused in ((1e-4, 0.01, False), (0.05, 0.01, True), (0.05, 1, False)):
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
    assert (described["queries_now"], described["from_log"], described["sent"]) == (0, 40, 0)
    assert described["log_check"] == "not done: status 403"
    assert asked.failures == {}


def test_a_log_is_of_one_suspect_asked_in_one_way_for_one_purpose(suspect, session, images):
    session(purpose="verify key 1")(images)
    session(purpose="verify key 1")
    floats = [{"name": "images", "datatype": "FP32"}]
    for changes, options, words in (
        ({}, {"purpose": "verify key 2"}, "purpose is 'verify key 1', not 'verify key 2'; name another file"),
        ({"platform": "onnx"}, {}, "metadata is"),
        ({"parameters": {"classes": list("abcdefghij")}}, {}, "classes is None, not"),
        ({"outputs": [fake.METADATA["outputs"][0] | {"datatype": "FP64"}]}, {}, "metadata is"),
        ({"versions": ["2"]}, {}, "version is '1', not '2'"),
        ({"inputs": floats}, {"input_range": (0, 1)}, "input is"),
    ):
        suspect.metadata = fake.METADATA | changes
        with pytest.raises(ValueError, match=rf"another suspect: .*{words}"):
            session(**({"purpose": "verify key 1"} | options))


# It outlives its session


def test_a_second_session_asks_only_what_is_missing_within_its_budget(suspect, session, images):
    suspect.script = [fake.answer, fake.answer, fake.status(400, "enough")]
    first = session(batch_size=8)
    with pytest.raises(SuspectError):
        first(images)
    assert (first.describe()["queries_now"], first.describe()["from_log"]) == (16, 0)
    assert first.describe()["log_check"] is None
    poor = session(budget=31)
    assert poor.cost(images) == 24 + 8  # the log's answers are made sure of first
    with pytest.raises(mea.BudgetSpent):
        poor(images)
    assert poor.queries == 0
    again = session(budget=32)
    assert torch.equal(again(images), expected(images))
    assert (again.queries, again.cost(images), sum(suspect.answered.values())) == (32, 0, 48)
    described = again.describe()
    assert (described["url"], described["model"], described["version"]) == (suspect.url, "digits", "1")
    assert (described["sent"], described["answers_in_log"]) == (32, 40)
    assert (described["queries_now"], described["from_log"]) == (24, 16)
    assert described["log_check"] == "8 images asked again, answered alike"
    assert described["first_asked"] < described["last_asked"]


PROCESS = """
import sys, torch
from mea_lib.serving.remote import RemoteOracle
oracle = RemoteOracle(sys.argv[1], log=sys.argv[2], batch_size=4)
oracle(torch.load(sys.argv[3]))
"""


def test_a_killed_process_leaves_whole_batches_and_two_at_once_never_ask_twice(suspect, images, tmp_path):
    torch.save(images, tmp_path / "images.pt")
    arguments = [suspect.url, str(tmp_path / "log"), str(tmp_path / "images.pt")]
    processes = [
        subprocess.Popen([sys.executable, "-c", PROCESS, *arguments], stderr=subprocess.PIPE, text=True)
    ]
    reached = threading.Event()

    def wait(handler, images):
        reached.set()
        handler.server.is_closing.wait(60)

    suspect.script = [fake.answer, fake.answer, wait]
    assert reached.wait(120)
    processes[0].send_signal(signal.SIGKILL)  # while a request waits for its answer
    processes[0].wait()
    asked = RemoteOracle(suspect.url, log=tmp_path / "log", batch_size=4)
    assert len(asked.query_log) == 8
    known = set(suspect.answered)

    def when_both_are_there(handler, images):
        while suspect.paths.count("/v2/models/digits") < 3 and not handler.server.is_closing.wait(0.02):
            pass
        time.sleep(0.5)  # the other process would send the same images now
        fake.answer(handler, images)

    suspect.script = [fake.answer, fake.answer, when_both_are_there]  # two to make sure of the log
    processes.append(
        subprocess.Popen([sys.executable, "-c", PROCESS, *arguments], stderr=subprocess.PIPE, text=True)
    )
    assert torch.equal(asked(images), expected(images))
    said = processes[1].stderr.read()
    assert processes[1].wait(120) == 0, said
    assert len(suspect.answered) == 40
    assert {image: times for image, times in suspect.answered.items() if times > 1}.keys() <= known
