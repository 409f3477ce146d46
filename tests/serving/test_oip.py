"""The messages of the Open Inference Protocol: what is written is read again, and what is none is refused."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mea_lib.serving.oip import DATATYPES, HEADER_LENGTH, Answer, ProtocolError, Request, pack, unpack

SHAPES = arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=4)
TENSORS = st.sampled_from(sorted(DATATYPES)).flatmap(
    lambda name: arrays.arrays(
        DATATYPES[name],
        SHAPES,
        elements=arrays.from_dtype(DATATYPES[name], allow_nan=False, allow_infinity=False),
    )
)
MESSAGES = st.dictionaries(st.text(max_size=8), TENSORS, max_size=3)


def message(*entries):
    return json.dumps({"inputs": list(entries)}).encode()


def entry(**changes):
    return {"name": "images", "datatype": "UINT8", "shape": [2, 3], "data": [1, 2, 3, 4, 5, 6]} | changes


@settings(max_examples=60)
@given(MESSAGES, st.data(), st.sampled_from([("inputs", Request), ("outputs", Answer)]))
def test_what_is_packed_is_unpacked(tensors, data, side):
    kind, model = side
    binary = data.draw(st.sets(st.sampled_from(sorted(tensors)))) if tensors else ()
    tensors = {name: tensor.T for name, tensor in tensors.items()}  # is written in its own order
    body, headers = pack({"id": "7"}, kind, tensors, binary)
    assert (HEADER_LENGTH in headers) == bool(binary)
    _, found = unpack(body, headers.get(HEADER_LENGTH), model)
    assert list(found) == list(tensors)
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(found[name], tensor, strict=True)
        assert found[name].flags.writeable


@settings(max_examples=60)
@given(TENSORS.filter(lambda tensor: tensor.ndim > 0 and tensor.size > 0))
def test_nested_data_say_the_same_as_flat_ones(tensor):
    datatype = next(name for name, dtype in DATATYPES.items() if dtype == tensor.dtype)
    body = message(entry(datatype=datatype, shape=list(tensor.shape), data=tensor.tolist()))
    np.testing.assert_array_equal(unpack(body, None, Request)[1]["images"], tensor, strict=True)


def test_bytes_are_laid_out_as_the_binary_extension_says():
    tensors = {"a": np.array([[1, 2]], ">u4"), "b": np.array([1.0], "f4")}
    with pytest.raises(ValueError, match=">u4"):
        pack({}, "inputs", tensors, ["a", "b"])
    tensors["a"] = tensors["a"].astype("<u4")
    body, headers = pack({}, "inputs", tensors, ["a", "b"])
    assert headers["Content-Type"] == "application/octet-stream"
    assert body[int(headers[HEADER_LENGTH]) :] == b"\1\0\0\0\2\0\0\0\0\0\x80\x3f"
    first, second = json.loads(body[: int(headers[HEADER_LENGTH])])["inputs"]
    size = {"binary_data_size": 8}
    assert first == {"name": "a", "datatype": "UINT32", "shape": [1, 2], "parameters": size}
    assert second["parameters"] == {"binary_data_size": 4}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_json_lacks_travel_as_bytes_only(value):
    tensors = {"p": np.array([value], np.float32)}
    with pytest.raises(ValueError, match="as binary"):
        pack({}, "outputs", tensors)
    body, headers = pack({}, "outputs", tensors, ["p"])
    np.testing.assert_array_equal(unpack(body, headers[HEADER_LENGTH], Answer)[1]["p"], tensors["p"])


@pytest.mark.parametrize(
    ("body", "words"),
    [  # the others are refused at the service's door
        (message(entry(), entry()), "two tensors are called 'images'; each needs a name of its own"),
        (message(entry(datatype="BYTES")), r"'inputs.0.datatype': input should be 'UINT8', .* or 'FP64'"),
        (message(entry(datatype="FP32", data=[0.5] * 5 + [1e39])), r"between -3\.4"),
        (b'{"inputs": [NaN]}', "not JSON"),
    ],
)
def test_what_is_no_message_is_refused_in_one_sentence(body, words):
    with pytest.raises(ProtocolError, match=words):
        unpack(body, None, Request)


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
        (tensor,) = unpack(message({**entry(), **changes}), None, Request)[1].values()
    except ProtocolError:
        return
    assert tensor.size == 6


def test_missing_fields_are_empty():
    assert unpack(b"{}", None, Request)[1] == unpack(b'{"outputs": null}', None, Answer)[1] == {}
