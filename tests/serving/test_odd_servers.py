"""Servers as they are found: understood, or refused with the first reason before much is sent."""

import gzip
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mea_lib.blackbox import Pixels, SuspectError, as_suspect
from mea_lib.serving import transport
from mea_lib.serving.remote import RemoteOracle

sys.path.insert(0, str(Path(__file__).parent))

import fake_server as fake
from fake_server import expected

NAMES = [f"class {letter}" for letter in "abcdefghij"]


@pytest.fixture
def images(digits):
    return digits.test.images[:100]


def one_hot(images):
    return torch.nn.functional.one_hot(expected(images).argmax(1), 10).float()


def output(batch, **changes):
    content = fake.tensors(fake.rule(batch))
    content["outputs"][0] |= changes
    return content


def with_null(batch):
    """As KServe's SDK, Seldon and Furiosa write what is not there."""
    return output(batch, parameters=None) | {"id": None, "parameters": None, "model_version": None}


def in_bytes(batch, datatype, data, shape):
    entry = {"name": "probabilities", "datatype": datatype, "shape": shape}
    head = json.dumps({"outputs": [entry | {"parameters": {"binary_data_size": len(data)}}]}).encode()
    return head + data, {"Inference_Header_Content_Length": str(len(head))}


def answers_in_bytes(handler, batch):
    rows = fake.rule(batch)
    upper = (rows.view("<u4") >> 16).astype("<u2")
    body, headers = in_bytes(batch, "BF16", upper.tobytes(), list(rows.shape))
    handler.reply(200, body, headers)


def named_in_bytes(handler, batch):
    words = [NAMES[label].encode() for label in fake.rule(batch).argmax(1)]
    data = b"".join(struct.pack("<I", len(word)) + word for word in words)
    body, headers = in_bytes(batch, "BYTES", data, [len(words)])
    handler.reply(200, body, headers)


def named(batch, form="{name}", width=1):
    labels = fake.rule(batch).argmax(1)
    words = [form.format(name=NAMES[label], label=label) for label in labels for _ in range(width)]
    shape = [len(labels)] if width == 1 else [len(labels), width]
    return fake.tensors(np.zeros(0)) | {
        "outputs": [{"name": "label", "datatype": "BYTES", "shape": shape, "data": words}]
    }


UNDERSTOOD = {
    "null members": (fake.says(with_null), {}, expected, 1e-7),
    "BF16 in JSON": (fake.says(lambda batch: output(batch, datatype="BF16")), {}, expected, 1e-7),
    "BF16 in bytes": (answers_in_bytes, {}, expected, 1e-2),
    "gzip, and no header": (
        lambda handler, batch: handler.reply(200, gzip.compress(json.dumps(output(batch)).encode())),
        {},
        expected,
        1e-7,
    ),
    "names": (fake.says(named), {"classes": NAMES}, one_hot, 0),
    "names in bytes": (named_in_bytes, {"label_names": NAMES}, one_hot, 0),
    "labels from 1": (
        fake.says(lambda b: fake.tensors(fake.rule(b).argmax(1) + 1, "label", "INT64")),
        {"classes": 10, "first_label": 1},
        one_hot,
        0,
    ),
    "a classification": (fake.says(lambda b: named(b, "0.5:{label}:{name}", 3)), {"classes": 10}, one_hot, 0),
}


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_what_is_understood(suspect, images, kind):
    behaviour, options, truth, tolerance = UNDERSTOOD[kind]
    suspect.metadata = fake.METADATA | {"outputs": [{"name": "probabilities"}]}
    suspect.always = behaviour
    found = RemoteOracle(suspect.url, **options)(images)
    torch.testing.assert_close(found, truth(images), atol=tolerance, rtol=0)
    assert suspect.batches == [8, 64, 28]


def changed(**changes):
    return fake.says(lambda batch: output(batch, **changes))


def other(name):
    return {"name": name, "datatype": "FP32", "shape": [1], "data": [0]}


def numbers(rows):
    """Says what this makes of the rows of an ordinary answer."""
    return fake.says(lambda batch: fake.tensors(rows(fake.rule(batch))))


# By the reason that is counted: what is answered, how the suspect is described, and words of the error.
REFUSED = {
    "not the protocol": [
        (fake.says(b"<!doctype html><title>Sign in</title>"), {}, r"'<!doctype html>.*check the url"),
        (fake.says(b"\x1f\x8bsomething else"), {}, "not JSON"),
        (fake.says(b"no gzip", Content_Encoding="gzip"), {}, "not JSON"),
        (fake.says(b""), {}, "not JSON"),
        (fake.says(b"[" * 100_000), {}, "not JSON"),
        (fake.says(b"\xff"), {}, "not JSON"),
        (fake.says([]), {}, "input should be a JSON object"),
        (fake.says({"outputs": []}), {}, "has 0 outputs"),
        (fake.says({"outputs": None}), {}, "has 0 outputs"),
        (fake.says({"outputs": [1]}), {}, "'outputs.0': input should be a JSON object"),
        (fake.says({"outputs": [other("x"), other("y")]}), {}, "has 2 outputs and none called probabilities"),
        (fake.says({"outputs": [other("x"), other("x")]}), {}, "two tensors are called 'x'"),
        (changed(shape="many"), {}, "'outputs.0.shape': input should be a valid list"),
        (changed(shape=[8, 9]), {}, "80 numbers, but its shape is"),
        (changed(shape=[]), {}, "80 numbers, but its shape is"),
        (changed(shape=[-8, -10]), {}, "greater than or equal to 0"),
        (changed(data=[]), {}, "0 numbers, but its shape is"),
        (changed(data=[[1, 2], [3]]), {}, "nested otherwise"),
        (changed(data=["0.5"] * 80), {}, "'0': input should be a valid number"),
        (changed(data=[True] * 80), {}, "'0': input should be a valid number"),
        (
            lambda handler, batch: handler.reply(200, *in_bytes(batch, "BYTES", b"\x09\0\0\0ab", [8])),
            {},
            "not 8 strings",
        ),
    ],
    "wrong number of answers": [
        (numbers(lambda rows: rows[:-1]), {}, "8 images were asked"),
        (numbers(lambda rows: rows.T), {}, "8 images were asked"),
        (numbers(lambda rows: rows[:0]), {}, "8 images were asked"),
        (numbers(lambda rows: np.float32(1)), {}, "8 images were asked"),
    ],
    "no finite numbers": [
        (fake.binary(np.nan), {}, "NaN or infinity"),
        (fake.binary(np.inf), {}, "NaN or infinity"),
        (changed(data=[1e300] * 80, datatype="FP64"), {}, "NaN or infinity"),
        (changed(data=[float("nan")] * 80), {}, "NaN or infinity"),  # which Python writes all the same
        (changed(data=[None] * 80), {}, "NaN or infinity"),  # as others write NaN
    ],
    "sends elsewhere": [
        (fake.status(307, Location="/v2/models/digits/infer"), {}, "name that address if you trust it"),
        (fake.status(302, Location="http://x"), {}, "name that address if you trust it"),
    ],
    "another width": [
        (numbers(lambda rows: rows), {"classes": 9}, "but 9 classes were expected"),
        (
            fake.says(
                b'{"outputs": [{"name": "p", "datatype": "FP32", "shape": [8, 200000], "data": [0%s]}]}'
                % (b",0" * 1_599_999)
            ),
            {},
            "200,000 numbers an image",
        ),
    ],
    "status 422": [(fake.status(422, "field required"), {}, "422: field required")],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_refused_with_its_reason_before_much_is_asked(suspect, images, reason):
    suspect.metadata = fake.METADATA | {"outputs": [{"name": "probabilities"}]}
    for behaviour, options, words in REFUSED[reason]:
        suspect.always = behaviour
        suspect.batches.clear()
        with pytest.raises(SuspectError, match=words) as error:
            RemoteOracle(suspect.url, **options)(images)
        assert error.value.reason == reason
        skipping = RemoteOracle(suspect.url, on_failure="skip", **options)
        assert skipping(images).isnan().all()
        assert skipping.failures == {reason: 100}
        assert len(skipping.query_log) == 0
        assert suspect.batches == [8, 8]
        if not options:
            suspect.always = None
            assert torch.equal(skipping(images), expected(images))


@pytest.mark.parametrize("shape", [[16, 16], [256], [16, 16, 1], [1, 16, 16]])
def test_a_model_whose_metadata_know_no_batches(suspect, images, shape):
    def behaviour(handler, batch):
        assert list(batch.shape) == shape
        handler.reply(200, fake.tensors(fake.rule(batch.reshape(1, *images.shape[1:]))[0]))

    suspect.metadata = fake.METADATA | {"inputs": [{"name": "x", "datatype": "UINT8", "shape": shape}]}
    suspect.metadata |= {"outputs": [{"name": "y", "datatype": "FP32", "shape": [10]}]}
    suspect.always = behaviour
    asked = RemoteOracle(suspect.url)
    assert torch.equal(asked(images[:9]), expected(images[:9]))
    assert asked.queries == 9


def test_a_server_that_answers_the_first_of_a_batch_alone_is_asked_one_by_one(suspect, images):
    suspect.always = numbers(lambda rows: rows[0])
    asked = RemoteOracle(suspect.url)
    assert torch.equal(asked(images[:12]), expected(images[:12]))
    assert suspect.batches == [8] + [1] * 12


def test_pixels_go_out_as_a_suspect_in_memory_gets_them(suspect, images):
    options = {"mean": 0.3, "std": 0.2, "size": 12, "layout": "last"}
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, -1, -1, -1]}]
    suspect.metadata = fake.METADATA | {"inputs": inputs}
    suspect.always = fake.says(lambda batch: fake.tensors(np.ones((len(batch), 1)) * np.arange(10)))
    RemoteOracle(suspect.url, **options)(images[:3])
    seen = []
    here = as_suspect(
        lambda x: seen.append(x) or torch.zeros(3, 10) + torch.arange(10), pixels=Pixels(**options)
    )
    here(images[:3])
    sent = suspect.questions[0]["inputs"][0]
    assert sent["shape"] == [3, 12, 12, 1]
    np.testing.assert_allclose(np.array(sent["data"]), seen[0].numpy().reshape(-1), atol=1e-6)


def test_odd_members_of_metadata_are_passed_over(suspect, images):
    for odd in (None, ["a"] * 10, list(range(10)), "abcdefghij", {}):
        for parameters in ({"classes": odd}, odd):
            suspect.metadata = fake.METADATA | {"parameters": parameters}
            assert RemoteOracle(suspect.url).classes is None
    suspect.metadata = fake.METADATA | {"parameters": None, "versions": None, "platform": None}
    assert torch.equal(RemoteOracle(suspect.url)(images), expected(images))


def test_a_retry_after_beyond_any_calendar_asks_for_no_wait():
    assert transport._seconds("Mon, 01 Jan 99999999999999999999 00:00:00 GMT") is None
    assert transport._seconds("nan") is None
    assert transport._seconds("1e9") == transport.LONGEST_WAIT_SECONDS
