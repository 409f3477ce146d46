"""A suspect over HTTP: what is sent, retried, kept, counted and refused, seen from a server that follows a script."""

import gzip
import json
import re
import signal
import sys
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import mea_lib as mea
from mea_lib import serving
from mea_lib.blackbox import SuspectError
from mea_lib.serving import remote_model, transport
from mea_lib.serving.remote import RemoteOracle
from mea_lib.serving.remote_model import RemoteModel, read_metadata

sys.path.insert(0, str(Path(__file__).parent))

import fake_server as fake
from fake_server import expected


@pytest.fixture(autouse=True)
def waits(monkeypatch):
    """Nobody waits in these tests; what would have been waited is kept."""
    waited = []
    monkeypatch.setattr(transport, "time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def images(digits):
    return digits.test.images[:20]


def oracle(suspect, **options):
    return RemoteOracle(suspect.url, **({"batch_size": 8, "timeout": 5.0} | options))


# What is sent, and how often


def test_answers_come_in_order_with_what_the_metadata_say(suspect, images):
    asked = oracle(suspect)
    assert torch.equal(asked(images), expected(images))
    assert suspect.batches == [8, 8, 4]
    assert (asked.queries, asked.remaining, asked.failures) == (20, None, {})
    assert [(entry.first, entry.images) for entry in asked.log] == [(0, 8), (8, 8), (16, 4)]
    question = suspect.questions[0]
    assert question["outputs"] == [{"name": "probabilities"}]
    tensor = question["inputs"][0]
    assert (tensor["name"], tensor["datatype"], tensor["shape"]) == ("images", "UINT8", [8, 1, 16, 16])
    assert suspect.paths[-1] == "/v2/models/digits/infer"
    assert asked(images[:0]).shape == (0, 10)


def test_no_image_is_sent_twice(suspect, images):
    asked = oracle(suspect)
    doubled = torch.cat([images, images[:5]])
    assert asked.cost(doubled) == 20
    assert torch.equal(asked(doubled), expected(doubled))
    assert torch.equal(asked(images.flip(0)), expected(images.flip(0)))
    assert asked.cost(doubled, images) == 0
    assert (asked.queries, set(suspect.answered.values())) == (20, {1})


def test_threads_of_one_oracle_take_turns(suspect, images):
    asked, found = oracle(suspect), {}
    threads = [
        threading.Thread(target=lambda n=n: found.update({n: asked(images)}), daemon=True) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert all(torch.equal(answers, expected(images)) for answers in found.values())
    assert (len(found), set(suspect.answered.values())) == (4, {1})


def test_nothing_else_than_images_is_asked(suspect, images):
    asked = oracle(suspect)
    with pytest.raises(TypeError, match="uint8"):
        asked(images.float())
    with pytest.raises(ValueError, match=r"\(N, C, H, W\)"):
        asked(images[0])
    with pytest.raises(ValueError, match="do not fit"):
        asked(images[:, :, :8])
    assert (suspect.batches, asked.queries) == ([], 0)


# Budgets


def test_a_budget_holds_and_counts_only_what_must_be_sent(suspect, images):
    asked = oracle(suspect, budget=12)
    with pytest.raises(mea.BudgetSpent, match="20 images must be sent, but only 12 of 12"):
        asked(images)
    assert (suspect.batches, asked.queries) == ([], 0)
    asked(images[:12])
    assert asked.remaining == 0
    assert torch.equal(asked(images[:12]), expected(images[:12]))
    with pytest.raises(mea.BudgetSpent):
        asked(images[12:13])


def test_retries_never_break_the_budget(suspect, images):
    suspect.script = [fake.break_off, fake.break_off]
    with pytest.raises(mea.BudgetSpent, match="only 4 of 20"):
        oracle(suspect, budget=20)(images)
    assert suspect.batches == [8, 8]


def test_a_refusal_without_a_time_means_that_the_grant_is_spent(suspect, images):
    suspect.script = [fake.answer]
    suspect.always = fake.status(429, "budget of 8 spent")
    asked = oracle(suspect)
    with pytest.raises(mea.BudgetSpent, match="budget of 8 spent"):
        asked(images)
    assert (suspect.batches, asked.queries, len(asked.query_log)) == ([8, 8], 8, 8)
    suspect.script = [fake.answer]
    skipping = oracle(suspect, on_failure="skip")
    answers = skipping(images)
    assert torch.equal(answers[:8], expected(images[:8]))
    assert answers[8:].isnan().all()
    assert skipping.failures == {"its budget is spent": 12}


# What is tried again


@pytest.mark.parametrize("failure", [500, 502, 503, 504])
def test_a_server_that_fails_twice_is_asked_again_and_refusals_cost_nothing(suspect, images, waits, failure):
    suspect.script = [fake.status(failure)] * 2
    asked = oracle(suspect, budget=20)
    assert torch.equal(asked(images), expected(images))
    assert suspect.batches == [8, 8, 8, 8, 4]
    assert asked.queries == 20
    assert 0.5 <= waits[0] <= 1 <= waits[1] <= 1.5


@pytest.mark.parametrize("behaviour", [fake.hang_up, fake.break_off, fake.late(1.0)])
def test_a_broken_connection_is_tried_again_and_may_have_cost(suspect, images, behaviour):
    suspect.script = [behaviour]
    asked = oracle(suspect, timeout=0.5)
    assert torch.equal(asked(images[:8]), expected(images[:8]))
    assert (suspect.batches, asked.queries) == ([8, 8], 16)


def test_the_time_a_busy_server_asks_for_is_waited_up_to_a_minute(suspect, images, waits):
    date = format_datetime(datetime.now(UTC) + timedelta(days=2), usegmt=True)
    for asked_for, waited in (("7", 7), ("0.25", 0.25), ("86400", 60), ("inf", 60), (date, 60)):
        suspect.script = [fake.status(429, "slow down", Retry_After=asked_for)]
        asked = oracle(suspect)
        assert torch.equal(asked(images), expected(images))
        assert (waits.pop(), asked.queries) == (waited, 20)
    for words in ("soon", "nan", "Wed, 99 Foo 2026"):  # which say nothing
        suspect.script = [fake.status(503, Retry_After=words)]
        oracle(suspect)(images)
        assert 0.5 <= waits.pop() <= 1
    assert waits == []


def test_what_another_attempt_cannot_mend_is_not_tried_again(suspect, images):
    for code, says in ((400, "bad input"), (401, "token="), (403, "token="), (404, "check url")):
        suspect.always = fake.status(code, "bad input")
        with pytest.raises(SuspectError, match=rf"answered {code}: bad input.*|.*{says}") as error:
            oracle(suspect)(images)
        assert says in str(error.value)
    assert suspect.batches == [8] * 4


def test_after_three_lost_batches_each_is_tried_once(suspect, images):
    suspect.always = fake.status(503)
    asked = oracle(suspect, batch_size=2, attempts=3, on_failure="skip")
    assert asked(images).isnan().all()
    assert len(suspect.batches) == 3 * 3 + 7
    suspect.always = None
    assert torch.equal(asked(images), expected(images))
    suspect.script = [fake.status(503)] * 2
    assert asked(255 - images[:2]).isfinite().all()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (413, ""),
        (400, "inference request batch-size must be <= 2 for 'digits'"),
        (400, "too many images: at most 2 are answered at once"),
    ],
)
def test_a_batch_that_is_too_large_is_halved_and_stays_so(suspect, images, code, words):
    refuse = fake.status(code, words)
    suspect.always = lambda handler, batch: (fake.answer if len(batch) <= 2 else refuse)(handler, batch)
    asked = oracle(suspect)
    assert torch.equal(asked(images), expected(images))
    assert suspect.batches == [8, 4] + [2] * 10
    assert (asked.batch_size, asked.queries, asked.failures) == (2, 20, {})
    suspect.always = fake.status(413, "too large")  # a single image, too
    with pytest.raises(SuspectError, match="413"):
        oracle(suspect)(images)
    assert suspect.batches[12:] == [8, 4, 2, 1]


def test_an_interrupt_ends_a_question_that_hangs(suspect, images):
    suspect.always = fake.late(2.0)
    asked = oracle(suspect, timeout=60.0)
    main = threading.get_ident()
    # Tests started in the background inherit that Ctrl-C is ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Timer(0.5, signal.pthread_kill, (main, signal.SIGINT)).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            asked(images)
    finally:
        signal.signal(signal.SIGINT, before)
    suspect.always = None
    assert torch.equal(asked(images), expected(images))


# How much is read


def test_an_answer_larger_than_any_to_these_images_is_not_read(suspect, images, monkeypatch):
    """Ten classes, eight images: of 200,000 numbers an image in JSON nothing is parsed, let alone kept."""
    monkeypatch.setattr(remote_model, "unpack", lambda *_: pytest.fail("it was parsed"))
    bomb = gzip.compress(b" " * (20 << 20))
    wide = fake.says(b"[" + b"0.123, " * 300_000)
    for behaviour in (fake.flood, wide, fake.says(bomb), fake.says(bomb, Content_Encoding="gzip")):
        suspect.always = behaviour
        asked = oracle(suspect)
        with pytest.raises(SuspectError, match=r"more than 1,\d{3},\d{3} bytes, which no answer"):
            asked(images[:8])
        assert len(asked.query_log) == 0
    assert suspect.batches == [8] * 4


def test_an_answer_may_be_as_large_as_its_classes_need(suspect, images):
    """Indented JSON of all digits, with other outputs that nobody asked for."""
    other = [{"name": "features", "datatype": "FP32", "shape": [8, 500], "data": [0.123456789] * 4_000}]

    def behaviour(handler, batch):
        content = fake.tensors(fake.rule(batch).astype(np.float64) / 3, datatype="FP64")
        content["outputs"] = other + content["outputs"]
        handler.reply(200, json.dumps(content, indent=16).encode())

    suspect.always = behaviour
    torch.testing.assert_close(oracle(suspect)(images[:8]), expected(images[:8]) / 3)


def test_of_metadata_and_refusals_no_more_is_read_than_they_need(suspect, images, monkeypatch):
    read, unpacked = [], transport._unpacked
    monkeypatch.setattr(
        transport, "_unpacked", lambda body, most: read.append((len(body), most)) or unpacked(body, most)
    )
    for status in (400, 500):
        suspect.always = fake.status(status, "no " * (5 << 20))
        with pytest.raises(SuspectError, match=f"answered {status}"):
            oracle(suspect, attempts=1)(images[:8])
        assert read[-1] == (65_536, 65_536)
    suspect.metadata = {"name": "a" * (9 << 20)}
    with pytest.raises(SuspectError, match="more than 8,388,608 bytes"):
        oracle(suspect)


@pytest.mark.parametrize("part", ["headers", "body"])
def test_an_answer_that_drips_is_ended(suspect, images, part):
    suspect.always = fake.drip(part)
    with pytest.raises(SuspectError, match=r"did not finish its answer within 0\.3 seconds"):
        oracle(suspect, timeout=0.3, attempts=2)(images[:8])
    assert suspect.batches == [8, 8]


# What is made of the answers


def test_only_the_rows_that_are_none_are_missing(suspect, images):
    suspect.script = [fake.binary(np.nan, row=3)]
    asked = oracle(suspect, on_failure="skip")
    answers = asked(images[:8])
    assert answers.isnan().all(1).tolist() == [number == 3 for number in range(8)]
    assert asked.failures == {"no finite numbers": 1}
    assert asked.cost(images[:8]) == 1
    suspect.script = [fake.binary(np.nan, row=3)]
    strict = oracle(suspect)
    with pytest.raises(SuspectError, match="NaN or infinity"):
        strict(images[:8])
    assert strict.cost(images[:8]) == 1


def test_a_suspect_that_changes_its_width_is_not_one_model(suspect, images):
    narrow = fake.says(lambda batch: fake.tensors(fake.rule(batch)[:, :9]))
    suspect.script = [fake.answer, narrow]
    asked = oracle(suspect)
    with pytest.raises(SuspectError, match="9 numbers an image, but 10 classes were expected"):
        asked(images)
    assert asked.cost(images) == 12
    suspect.metadata = fake.METADATA | {"outputs": [{"name": "probabilities", "datatype": "FP32"}]}
    suspect.script = [fake.answer, narrow]
    with pytest.raises(SuspectError, match="10 numbers an image so far, and now with 9"):
        oracle(suspect)(images)


def test_scores_are_taken_as_they_are_and_the_oracle_says_so(suspect, images):
    asked = oracle(suspect)
    assert asked.are_probabilities is None
    asked(images[:8])
    assert asked.are_probabilities is True
    suspect.always = fake.says(lambda batch: fake.tensors(fake.rule(batch) * 9 - 3))
    torch.testing.assert_close(asked(images[8:]), expected(images[8:]) * 9 - 3)
    assert asked.are_probabilities is False


# Which server, and which of its models


def test_a_server_that_is_not_there():
    with pytest.raises(SuspectError, match="cannot be reached"):
        RemoteOracle("http://127.0.0.1:9", model="digits", attempts=2)


def test_the_token_goes_with_every_request_and_into_no_message(suspect, images):
    suspect.script = [fake.answer, fake.status(400, "x" * 195 + "secret-7 is no good")]
    asked = oracle(suspect, token="secret-7")
    with pytest.raises(SuspectError) as error:
        asked(images)
    assert {headers["Authorization"] for headers in suspect.headers} == {"Bearer secret-7"}
    assert "secr" not in str(error.value) + json.dumps(asked.describe())


def test_nothing_is_sent_to_an_address_that_was_not_named(suspect, images):
    with fake.serving() as other:
        suspect.always = fake.status(307, Location=f"{other.url}/v2/models/digits/infer")
        with pytest.raises(SuspectError, match=re.escape(other.url)):
            oracle(suspect, token="secret")(images)
        assert other.paths == []


def test_proxies_of_the_environment_are_used_only_on_demand(suspect, images, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    assert oracle(suspect)(images).shape == (20, 10)
    with pytest.raises(SuspectError, match="cannot be reached"):
        oracle(suspect, trust_env=True, attempts=1)


def test_certificates_are_checked_wherever_there_is_encryption():
    for url, trust_env in (("https://host", False), ("https://host", True), ("http://host", True)):
        tls = transport.Transport(url, trust_env=trust_env)._tls
        assert (tls.verify_mode.name, tls.check_hostname) == ("CERT_REQUIRED", True)


def test_the_only_model_is_found_and_of_several_one_must_be_named(suspect, images):
    assert oracle(suspect).model.name == "digits"
    suspect.models = ["digits", "other"]
    with pytest.raises(ValueError, match=r"digits, other; name one with model=…"):
        oracle(suspect)
    suspect.models = None
    with pytest.raises(ValueError, match="does not say which models it has; name one"):
        oracle(suspect)
    assert torch.equal(oracle(suspect, model="digits")(images), expected(images))


def test_a_server_without_metadata_is_asked_by_the_names_that_are_passed(suspect, images):
    suspect.metadata = None
    with pytest.raises(SuspectError, match="404"):
        oracle(suspect, model="digits")
    suspect.metadata = {"name": "digits"}
    with pytest.raises(ValueError, match="input_name="):
        oracle(suspect)
    with pytest.raises(ValueError, match="datatype="):
        oracle(suspect, input_name="x")
    for metadata in (None, {"name": "digits"}, [], {"inputs": 3, "outputs": "x", "versions": None}):
        suspect.metadata = metadata
        asked = oracle(suspect, model="digits", input_name="x", datatype="UINT8")
        assert torch.equal(asked(images), expected(images))
        assert suspect.questions[-1]["inputs"][0]["name"] == "x"
        assert "outputs" not in suspect.questions[-1]


def test_a_version_that_is_named_is_asked(suspect, images):
    asked = oracle(suspect, model="a/b", version="2")
    asked(images)
    assert suspect.paths[-1] == "/v2/models/a%2Fb/versions/2/infer"
    assert asked.describe()["version"] == "2"
    suspect.metadata = fake.METADATA | {"versions": ["1", "2"]}
    with pytest.raises(ValueError, match="versions 1, 2; name one"):
        oracle(suspect)


def test_what_a_server_says_of_itself_fits_into_a_report_and_into_evidence(suspect, images, tmp_path):
    suspect.metadata = fake.METADATA | {"versions": ["1\nVerdict: no proof\x1b[2J\ud800" + "9" * 500]}
    version = oracle(suspect).describe()["version"]
    assert version.isprintable()
    assert len(version) <= 100
    (tmp_path / "evidence").write_text(version)


# How images are sent


def test_floats_need_a_range_and_get_it(suspect, images):
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 1, 16, 16]}]
    suspect.metadata = fake.METADATA | {"inputs": inputs}
    with pytest.raises(ValueError, match="input_range="):
        oracle(suspect)
    oracle(suspect, input_range=(-1, 1))(images)
    sent = np.array(suspect.questions[0]["inputs"][0]["data"])
    assert sent == pytest.approx(images[:8].numpy().reshape(-1) / 127.5 - 1, abs=1e-6)


def tensor(shape, datatype="UINT8"):
    return {"inputs": [{"name": "x", "datatype": datatype, "shape": shape}], "outputs": [{"name": "y"}]}


def input_of(request):
    return json.loads(request[0])["inputs"][0]


def test_images_are_arranged_as_the_input_wants_them():
    images = torch.arange(5 * 3 * 16 * 18).remainder(251).to(torch.uint8).view(5, 3, 16, 18)
    for shape, sent in (
        ([-1, 3, 16, 18], [5, 3, 16, 18]),
        ([-1, -1, -1, -1], [5, 3, 16, 18]),
        ([], [5, 3, 16, 18]),
        ([-1, 16, 18, 3], [5, 16, 18, 3]),
        ([-1, 3 * 16 * 18], [5, 3 * 16 * 18]),
    ):
        found = input_of(read_metadata(tensor(shape), "m").request(images))
        assert found["shape"] == sent
        there = images.permute(0, 2, 3, 1) if sent[-1] == 3 else images
        assert found["data"] == there.reshape(-1).tolist()
    grey = torch.zeros(2, 1, 4, 6, dtype=torch.uint8)  # may go without channels
    assert input_of(read_metadata(tensor([-1, 4, 6]), "m").request(grey))["shape"] == [2, 4, 6]
    with pytest.raises(ValueError, match=r"do not fit"):
        read_metadata(tensor([-1, 3, 4, 6]), "m").request(grey)


def test_a_fixed_first_dimension_limits_the_batch(suspect, images):
    suspect.metadata = fake.METADATA | tensor([1, 1, 16, 16])
    oracle(suspect)(images[:3])
    assert suspect.batches == [1, 1, 1]


def test_what_the_metadata_leave_open_must_be_named():
    for datatype in ("BOOL", "BYTES", "INT8", "colour"):
        with pytest.raises(ValueError, match="holds no pixels"):
            read_metadata(tensor([-1, 1, 16, 16], datatype), "m")
    two = {"inputs": [{"name": "a", "datatype": "UINT8"}, {"name": "b", "datatype": "INT32"}]}
    with pytest.raises(ValueError, match=r"inputs a, b; name one with input_name"):
        read_metadata(two, "m")
    assert read_metadata(two, "m", input_name="b") == RemoteModel("m", None, "b", "INT32")
    two = tensor([-1, 4]) | {"outputs": [{"name": "a"}, {"name": "b"}]}
    with pytest.raises(ValueError, match=r"outputs a, b; name one with output_name"):
        read_metadata(two, "m")


# What it is made from


@pytest.mark.parametrize(
    ("url", "options", "says"),
    [
        *((url, {}, "no address") for url in ("ftp://host", "host:8080", "http://", None)),
        ("http://me:secret@host", {}, "token="),
        ("http://host?x=1", {}, "leave out"),
        ("http://host", {"budget": -1}, "budget"),
        ("http://host", {"batch_size": 0}, "batch_size"),
        ("http://host", {"timeout": 0}, "timeout"),
        ("http://host", {"attempts": 0}, "attempts"),
        ("http://host", {"on_failure": "cry"}, "raise, skip"),
        ("http://host", {"token": "with\nbreak"}, "printable"),
    ],
)
def test_arguments_that_mean_nothing_are_refused_before_anything_is_sent(url, options, says):
    with pytest.raises(ValueError, match=says) as error:
        RemoteOracle(url, **options)
    assert "secret" not in str(error.value)


def test_what_is_found_late_is_found():
    assert serving.RemoteOracle is RemoteOracle
    with pytest.raises(AttributeError, match="Orakel"):
        _ = serving.Orakel
