"""The messages of the Open Inference Protocol: what is written is read again, and what is none is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mea_lib.serving.oip import DATATYPES, HEADER_LENGTH, ProtocolError, objects, pack, parameters, unpack

SHAPES = arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
TENSORS = st.sampled_from(sorted(DATATYPES)).flatmap(
    lambda name: arrays.arrays(
        DATATYPES[name],
        SHAPES,
        elements=arrays.from_dtype(DATATYPES[name], allow_nan=False, allow_infinity=False),
    )
)
MESSAGES = st.dictionaries(st.text(max_size=8), TENSORS, max_size=3)


def message(*entries, **fields):
    return json.dumps({"inputs": list(entries)} | fields).encode()


def entry(**changes):
    found = {"name": "images", "datatype": "UINT8", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]} | changes
    return {name: value for name, value in found.items() if value is not ...}


@given(MESSAGES, st.data(), st.sampled_from(["inputs", "outputs"]))
def test_what_is_packed_is_unpacked(tensors, data, kind):
    binary = data.draw(st.sets(st.sampled_from(sorted(tensors)))) if tensors else ()
    body, headers = pack({"id": "7"}, kind, tensors, binary)
    assert (HEADER_LENGTH in headers) == bool(binary)
    fields, found = unpack(body, headers.get(HEADER_LENGTH), kind)
    assert fields["id"] == "7"
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        np.testing.assert_array_equal(found[name], tensor, strict=True)
        assert found[name].flags.writeable


@given(TENSORS.filter(lambda tensor: tensor.ndim > 0 and tensor.size > 0))
def test_nested_data_say_the_same_as_flat_ones(tensor):
    datatype = next(name for name, dtype in DATATYPES.items() if dtype == tensor.dtype)
    body = message(entry(datatype=datatype, shape=list(tensor.shape), data=tensor.tolist()))
    np.testing.assert_array_equal(unpack(body, None, "inputs")[1]["images"], tensor, strict=True)


def test_bytes_are_laid_out_as_the_binary_extension_says():
    tensors = {"a": np.array([[1, 2]], ">u4"), "b": np.array([1.0], "f4")}
    with pytest.raises(ValueError, match=">u4"):
        pack({}, "inputs", tensors, ["a", "b"])
    tensors["a"] = tensors["a"].astype("<u4")
    body, headers = pack({}, "inputs", tensors, ["a", "b"])
    assert headers["Content-Type"] == "application/octet-stream"
    assert body[int(headers[HEADER_LENGTH]) :] == b"\1\0\0\0\2\0\0\0\0\0\x80\x3f"
    first, second = json.loads(body[: int(headers[HEADER_LENGTH])])["inputs"]
    assert first == {
        "name": "a",
        "datatype": "UINT32",
        "shape": [1, 2],
        "parameters": {"binary_data_size": 8},
    }
    assert second["parameters"] == {"binary_data_size": 4}


def test_a_transposed_array_is_written_in_its_own_order():
    tensor = np.arange(6, dtype=np.uint8).reshape(2, 3).T
    for binary in ((), ("x",)):
        body, headers = pack({}, "inputs", {"x": tensor}, binary)
        np.testing.assert_array_equal(unpack(body, headers.get(HEADER_LENGTH), "inputs")[1]["x"], tensor)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_json_lacks_travel_as_bytes_only(value):
    tensors = {"p": np.array([value], np.float32)}
    with pytest.raises(ValueError, match="as binary"):
        pack({}, "outputs", tensors)
    body, headers = pack({}, "outputs", tensors, ["p"])
    np.testing.assert_array_equal(unpack(body, headers[HEADER_LENGTH], "outputs")[1]["p"], tensors["p"])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b'{"inputs": [NaN]}', "not JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "not JSON"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "not JSON"),
        (b"[]", "must be a JSON object, not a list"),
        (b"3", "must be a JSON object, not a number"),
        (b'{"inputs": {}}', "'inputs' must be a list of objects"),
        (b'{"inputs": [1]}', "'inputs' must be a list of objects"),
        (message(entry(name=...)), "a name of its own"),
        (message(entry(name=3)), "a name of its own"),
        (message(entry(), entry()), "a name of its own"),
        (message(entry(datatype="BYTES")), "datatype of the tensor 'images' must be one of"),
        (message(entry(datatype=["UINT8"])), "datatype"),
        (message(entry(shape=...)), "list of whole numbers"),
        (message(entry(shape=[-2, -3])), "list of whole numbers"),
        (message(entry(shape=[2.0, 3])), "list of whole numbers"),
        (message(entry(shape=[True, 6])), "list of whole numbers"),
        (message(entry(shape=[1] * 33)), "33 dimensions"),
        (message(entry(shape=[2, 4])), "6 numbers, but its shape is"),
        (message(entry(shape=[2**60, 2**60])), "6 numbers, but its shape is"),
        (message(entry(shape=[0, 2**62, 2**62], data=[])), "no tensor can have"),
        (message(entry(data=...)), "either 'data' or the parameter"),
        (message(entry(parameters={"binary_data_size": 6})), "either 'data' or the parameter"),
        (message(entry(parameters=[])), "'parameters' must be an object, not a list"),
        (message(entry(data="AAAAAA")), "must be a list, not a string"),
        (message(entry(data=[[1, 2], [3, 4], [5, 6]])), "nested otherwise"),
        (message(entry(data=[[1, 2, 3], 4, 5, 6])), "nested otherwise"),
        (message(entry(data=[[1, 2, 3], [4, 5, [6]]])), "found a list"),
        (message(entry(data=[1, 2, 3, 4, 5, 256])), "between 0 and 255"),
        (message(entry(data=[1, 2, 3, 4, 5, -1])), "between 0 and 255"),
        (message(entry(data=[1, 2, 3, 4, 5, 6.0])), "whole numbers; found a number with a fraction"),
        (message(entry(data=[1, 2, 3, 4, 5, True])), "found true or false"),
        (message(entry(data=[1, 2, 3, 4, 5, None])), "found null"),
        (message(entry(data=[1, 2, 3, 4, 5, "6"])), "found a string"),
        (message(entry(datatype="FP32", data=[0.5] * 5 + [1e39])), "between -3.4"),
        (message(entry(data=..., parameters={"binary_data_size": 6})), "only 0 follow"),
    ],
)
def test_what_is_no_message_is_refused_in_one_sentence(body, words):
    with pytest.raises(ProtocolError, match=words) as error:
        unpack(body, None, "inputs")
    assert len(str(error.value)) < 400


BINARY = message(entry(data=..., parameters={"binary_data_size": 6}))


@pytest.mark.parametrize(
    ("body", "length", "words"),
    [
        (BINARY + b"123456", "-1", "must be the length"),
        (BINARY + b"123456", "+5", "must be the length"),
        (BINARY + b"123456", " 5", "must be the length"),
        (BINARY + b"123456", "", "must be the length"),
        (BINARY + b"123456", "٣", "must be the length"),
        (BINARY + b"123456", str(len(BINARY) + 7), "must be the length"),
        (BINARY + b"123456", str(2**64), "must be the length"),
        (BINARY + b"123456", "9" * 10_000, "must be the length"),
        (BINARY + b"123456", "0", "not JSON"),
        (BINARY + b"123456", str(len(BINARY) - 1), "not JSON"),
        (BINARY + b"123456", str(len(BINARY) + 1), "not JSON"),
        (BINARY + b"12345", str(len(BINARY)), "only 5 follow"),
        (BINARY + b"1234567", str(len(BINARY)), "1 bytes are left over"),
        (BINARY + b"123456", None, "not JSON"),
    ],
)
def test_a_wrong_length_of_the_json_is_refused(body, length, words):
    with pytest.raises(ProtocolError, match=words):
        unpack(body, length, "inputs")


@pytest.mark.parametrize("size", [-6, 5, 7, 6.0, "6", True, [6], 2**63])
def test_a_size_other_than_the_tensors_is_refused(size):
    body = message(entry(data=..., parameters={"binary_data_size": size}))
    with pytest.raises(ProtocolError, match="takes 6 bytes"):
        unpack(body + b"123456", str(len(body)), "inputs")


@given(st.binary(max_size=200), st.none() | st.text(max_size=5) | st.integers(-3, 210).map(str))
def test_garbage_is_refused_and_nothing_else_happens(body, length):
    try:
        fields, tensors = unpack(body, length, "inputs")
    except ProtocolError:
        return
    assert isinstance(fields, dict)
    assert not tensors


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {}, optional={name: JSON for name in ("name", "datatype", "shape", "data", "parameters")}
    )
)
def test_any_json_in_any_field_is_read_or_refused(changes):
    try:
        (tensor,) = unpack(message({**entry(), **changes}), None, "inputs")[1].values()
    except ProtocolError:
        return
    assert tensor.size == 6


def test_missing_fields_are_empty():
    assert objects({}, "outputs") == []
    assert parameters({}) == {}
    assert unpack(b"{}", None, "inputs") == ({}, {})
