"""Servers as they are found: understood, or refused with the first reason before much is sent."""

import gzip
import json
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import mea_lib as mea
from mea_lib.blackbox import SuspectError, as_suspect
from mea_lib.serving.remote import RemoteOracle
from mea_lib.serving.service import ServiceSettings, create_app
from mea_lib.serving.web_server import BackgroundServer

sys.path.insert(0, str(Path(__file__).parent))

import fake_server as fake

NAMES = [f"class {letter}" for letter in "abcdefghij"]


@pytest.fixture
def suspect():
    with fake.serving() as suspect:
        yield suspect


@pytest.fixture
def images(digits):
    return digits.test.images[:100]


def expected(images):
    return torch.from_numpy(fake.rule(images.numpy()))


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
    "a classification": (fake.says(lambda b: named(b, "0.5:{label}:{name}", 3)), {"classes": 10}, one_hot, 0),
    "labels from 1": (
        fake.says(lambda b: fake.tensors(fake.rule(b).argmax(1) + 1, "label", "INT64")),
        {"classes": 10, "first_label": 1},
        one_hot,
        0,
    ),
    "logarithms": (
        fake.says(lambda b: fake.tensors(np.log(fake.rule(b)))),
        {"answers": "log-probabilities"},
        expected,
        1e-6,
    ),
}


@pytest.mark.parametrize("kind", UNDERSTOOD)
def test_what_is_understood(suspect, images, kind):
    behaviour, options, truth, tolerance = UNDERSTOOD[kind]
    suspect.metadata = fake.METADATA | {"outputs": [{"name": "probabilities"}]}
    suspect.always = behaviour
    found = RemoteOracle(suspect.url, **options)(images)
    torch.testing.assert_close(found, truth(images), atol=tolerance, rtol=0)
    assert suspect.batches == [8, 64, 28]


REFUSED = {
    "a web page": (
        fake.says(b"<!doctype html><title>Sign in</title>"),
        {},
        r"'<!doctype html>.*check the url",
    ),
    "no gzip": (fake.says(b"\x1f\x8bsomething else"), {}, "not JSON"),
    "unprocessable": (fake.status(422, "field required"), {}, "422: field required"),
    "NaN": (fake.binary(np.nan), {}, "NaN or infinity"),
    "names nobody ordered": (fake.says(named), {}, "pass label_names="),
    "other names": (fake.says(named), {"classes": list("abcdefghij")}, "'class .', which is none of: a, b"),
    "numbers for pixels": (
        fake.says(lambda batch: fake.tensors(np.zeros((len(batch), 200_000)))),
        {},
        "200,000 numbers an image",
    ),
    "another width": (
        fake.says(lambda b: fake.tensors(fake.rule(b))),
        {"classes": 9},
        "but 9 classes were expected",
    ),
    "BYTES that end early": (
        lambda handler, batch: handler.reply(200, *in_bytes(batch, "BYTES", b"\x09\0\0\0ab", [8])),
        {},
        "not 8 strings",
    ),
    "logits said to be probabilities": (
        fake.says(lambda b: fake.tensors(fake.rule(b) * 30)),
        {"answers": "probabilities"},
        "no probabilities.*answers=…",
    ),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_with_its_reason_before_much_is_asked(suspect, images, kind):
    behaviour, options, words = REFUSED[kind]
    suspect.metadata = fake.METADATA | {"outputs": [{"name": "probabilities"}]}
    suspect.always = behaviour
    with pytest.raises(SuspectError, match=words) as error:
        RemoteOracle(suspect.url, **options)(images)
    skipping = RemoteOracle(suspect.url, on_failure="skip", **options)
    assert skipping(images).isnan().all()
    assert skipping.failures == {error.value.reason: 100}
    assert len(skipping.query_log) == 0
    assert suspect.batches == [8, 8]
    suspect.always = None
    if kind != "another width" and "answers" not in options:
        assert skipping(images).isfinite().all()


def without_batches(images, shape, sent):
    def behaviour(handler, batch):
        assert list(batch.shape) == sent
        handler.reply(200, fake.tensors(fake.rule(batch.reshape(1, *images.shape[1:]))[0]))

    return behaviour


@pytest.mark.parametrize(
    ("shape", "sent"),
    [([16, 16], [16, 16]), ([256], [256]), ([16, 16, 1], [16, 16, 1]), ([1, 16, 16], [1, 16, 16])],
)
def test_a_model_whose_metadata_know_no_batches(suspect, images, shape, sent):
    suspect.metadata = fake.METADATA | {"inputs": [{"name": "x", "datatype": "UINT8", "shape": shape}]}
    suspect.metadata |= {"outputs": [{"name": "y", "datatype": "FP32", "shape": [10]}]}
    suspect.always = without_batches(images, shape, sent)
    asked = RemoteOracle(suspect.url)
    assert torch.equal(asked(images[:9]), expected(images[:9]))
    assert asked.queries == 9


def test_a_server_that_answers_the_first_of_a_batch_alone_is_asked_one_by_one(suspect, images):
    suspect.always = fake.says(lambda batch: fake.tensors(fake.rule(batch)[0]))
    asked = RemoteOracle(suspect.url)
    assert torch.equal(asked(images[:12]), expected(images[:12]))
    assert suspect.batches == [8] + [1] * 12


def test_pixels_go_out_as_a_suspect_in_memory_gets_them(suspect, images):
    options = {"mean": 0.3, "std": 0.2, "size": 12, "layout": "last"}
    suspect.metadata = fake.METADATA | {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, -1, -1, -1]}]
    }
    suspect.always = fake.says(lambda batch: fake.tensors(np.ones((len(batch), 1)) * np.arange(10)))
    RemoteOracle(suspect.url, **options)(images[:3])
    seen = []
    as_suspect(lambda x: seen.append(x) or torch.zeros(3, 10) + torch.arange(10), **options)(images[:3])
    sent = suspect.questions[0]["inputs"][0]
    assert sent["shape"] == [3, 12, 12, 1]
    np.testing.assert_allclose(np.array(sent["data"]), seen[0].numpy().reshape(-1), atol=1e-6)


def test_names_of_classes_come_with_the_metadata_of_our_own_server(tiny, digits):
    shape = tuple(digits.test.images.shape[1:])
    app = create_app(mea.Oracle(tiny), shape, ServiceSettings(), digits.test.classes)
    with BackgroundServer(app) as server:
        asked = RemoteOracle(server.url)
        assert asked.classes == digits.test.classes
        assert asked.describe()["classes"] == list(digits.test.classes)
        with pytest.raises(ValueError, match="not told alike: 9 classes, 10 names"):
            RemoteOracle(server.url, classes=9)
    with BackgroundServer(create_app(mea.Oracle(tiny), shape)) as server:
        assert RemoteOracle(server.url).classes is None


@pytest.mark.parametrize("odd", [None, ["a"] * 10, list(range(10)), "abcdefghij", {}])
def test_names_that_are_none_are_passed_over(suspect, odd):
    suspect.metadata = fake.METADATA | {"parameters": {"classes": odd}}
    assert RemoteOracle(suspect.url).classes is None
    suspect.metadata = fake.METADATA | {"parameters": odd}
    assert RemoteOracle(suspect.url).classes is None


def test_null_members_in_metadata_and_requests_are_absent_ones(suspect, images, tiny, digits):
    import httpx

    suspect.metadata = fake.METADATA | {"parameters": None, "versions": None, "platform": None}
    assert torch.equal(RemoteOracle(suspect.url)(images), expected(images))
    pixels = images[:2].numpy()
    question = {
        "id": None,
        "parameters": None,
        "outputs": None,
        "inputs": [
            {
                "name": "images",
                "datatype": "UINT8",
                "shape": list(pixels.shape),
                "parameters": None,
                "data": pixels.reshape(-1).tolist(),
            }
        ],
    }
    with BackgroundServer(create_app(mea.Oracle(tiny), pixels.shape[1:])) as server:
        for changes in ({}, {"outputs": [{"name": "probabilities", "parameters": {"binary_data": None}}]}):
            said = httpx.post(f"{server.url}/v2/models/classifier/infer", json=question | changes)
            assert said.status_code == 200, said.text
            assert len(said.json()["outputs"][0]["data"]) == 20
