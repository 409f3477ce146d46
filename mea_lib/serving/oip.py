"""Messages of the Open Inference Protocol over HTTP: tensors in JSON, or as bytes that follow the JSON.

Both sides use this file: a request carries its tensors as "inputs", a response as "outputs".

Source: KServe, Open Inference Protocol, version 2 (REST); Triton, binary tensor data extension.
"""

import json
import math
from collections.abc import Collection, Mapping
from itertools import chain
from typing import Any

import numpy as np

try:
    import orjson
except ImportError as error:
    raise ImportError(
        "messages to and from a model behind HTTP are read with orjson, which is not installed; "
        "run: pip install 'mea-lib[service]'"
    ) from error

HEADER_LENGTH = "Inference-Header-Content-Length"
# Little-endian, as the bytes of the binary extension are. Answers may also be BF16 and BYTES; the protocol's BOOL is
# neither a pixel nor an answer.
DATATYPES = {
    f"{word}{8 * size}": np.dtype(f"<{letter}{size}")
    for word, letter, sizes in (
        ("UINT", "u", (1, 2, 4, 8)),
        ("INT", "i", (1, 2, 4, 8)),
        ("FP", "f", (2, 4, 8)),
    )
    for size in sizes
}
ONLY_ANSWERS = ("BF16", "BYTES")
MOST_DIMENSIONS = 32


class ProtocolError(ValueError):
    """A message that is not one of the protocol; the sentence says what is wrong with it."""


def pack(
    fields: Mapping[str, Any], kind: str, tensors: Mapping[str, np.ndarray], binary: Collection[str] = ()
) -> tuple[bytes, dict[str, str]]:
    """Write a message.

    Args:
        fields: everything of its JSON object beside the tensors, such as "id".
        kind: "inputs" for a request, "outputs" for a response.
        tensors: arrays of any shape by name, of a type in DATATYPES.
        binary: names of those that follow the JSON as bytes; the others become flat lists in it.

    Returns:
        the body and its HTTP headers.

    Raises:
        ValueError: for an array of another type, or NaN and infinities that should become JSON, which has none.
    """
    entries, tail = [], []
    for name, array in tensors.items():
        datatype = next((word for word, dtype in DATATYPES.items() if dtype == array.dtype), None)
        if datatype is None:
            raise ValueError(f"{name} is {array.dtype}, which is none of: {', '.join(DATATYPES)}; convert it")
        entry: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if name in binary:
            tail.append(array.tobytes())
            entry["parameters"] = {"binary_data_size": len(tail[-1])}
        elif array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ValueError(f"{name} has NaN or infinities, which JSON cannot hold; send it as binary")
        else:
            entry["data"] = array.reshape(-1)
        entries.append(entry)
    head = orjson.dumps({**fields, kind: entries}, option=orjson.OPT_SERIALIZE_NUMPY)
    if not tail:
        return head, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return b"".join([head, *tail]), headers


def unpack(body: bytes, header_length: str | None, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a message of unknown origin; the work is bounded by the length of the body.

    A member that is null is an absent one. Responses are read more kindly than requests: NaN and infinities, which
    JSON lacks and some servers write, null among their numbers, which is NaN, and the datatypes BF16 and BYTES.

    Args:
        body: of the request or response.
        header_length: value of the header HEADER_LENGTH; None where there is none.
        kind: "inputs" for a request, "outputs" for a response.

    Returns:
        all fields of the JSON object, and the tensors by name, each writable and of the shape it states; BF16 becomes
        float32 and BYTES an array of `bytes` or `str`.

    Raises:
        ProtocolError: for everything that is no such message.
    """
    json_bytes, rest = _split(body, header_length)
    is_answer = kind == "outputs"
    fields = _json(json_bytes, is_answer)
    if not isinstance(fields, dict):
        raise ProtocolError(f"the message must be a JSON object, not {_word(fields)}")
    tensors: dict[str, np.ndarray] = {}
    for entry in objects(fields, kind):
        name = entry.get("name")
        if not isinstance(name, str) or name in tensors:
            raise ProtocolError(f"each of the {kind} needs a name of its own, a string")
        tensors[name], rest = _tensor(entry, f"the tensor {name[:50]!r}", rest, is_answer)
    if rest:
        raise ProtocolError(f"{len(rest)} bytes are left over after the last tensor")
    return fields, tensors


def objects(fields: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The list of objects in this field, empty where it is missing or null.

    Raises:
        ProtocolError: for something else in its place.
    """
    found = [] if fields.get(name) is None else fields[name]
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        raise ProtocolError(f"{name!r} must be a list of objects")
    return found


def parameters(entry: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of a message or tensor that are not null, empty where it has none.

    Raises:
        ProtocolError: for something else in their place.
    """
    found = {} if entry.get("parameters") is None else entry["parameters"]
    if not isinstance(found, dict):
        raise ProtocolError(f"'parameters' must be an object, not {_word(found)}")
    return {name: value for name, value in found.items() if value is not None}


def _json(text: memoryview, is_answer: bool) -> Any:
    """The value in this text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        if is_answer and any(word in bytes(text) for word in (b"NaN", b"Infinity")):
            try:
                return json.loads(bytes(text))
            except (ValueError, RecursionError):
                pass
        raise ProtocolError(f"the message is not JSON: {error}") from error


def _split(body: bytes, header_length: str | None) -> tuple[memoryview, memoryview]:
    """The JSON and the bytes that follow it."""
    whole = memoryview(body)
    if header_length is None:
        return whole, whole[len(whole) :]
    # More digits than these are beyond every body, and int() would refuse thousands of them.
    is_number = header_length.isascii() and header_length.isdecimal() and len(header_length) < 20
    if not is_number or int(header_length) > len(body):
        raise ProtocolError(
            f"{HEADER_LENGTH} must be the length of the JSON in bytes, 0 to {len(body)} for this body, "
            f"not {header_length[:30]!r}"
        )
    return whole[: int(header_length)], whole[int(header_length) :]


def _tensor(
    entry: dict[str, Any], who: str, rest: memoryview, is_answer: bool
) -> tuple[np.ndarray, memoryview]:
    """The tensor that this entry describes, and the bytes that follow its own."""
    datatype, shape = entry.get("datatype"), entry.get("shape")
    known = (*DATATYPES, *ONLY_ANSWERS) if is_answer else tuple(DATATYPES)
    if not isinstance(datatype, str) or datatype not in known:
        raise ProtocolError(f"the datatype of {who} must be one of: {', '.join(known)}")
    if not isinstance(shape, list) or not all(type(length) is int and length >= 0 for length in shape):
        raise ProtocolError(f"the shape of {who} must be a list of whole numbers from 0")
    if len(shape) > MOST_DIMENSIONS:
        raise ProtocolError(f"{who} has {len(shape)} dimensions; {MOST_DIMENSIONS} are the most")
    size = parameters(entry).get("binary_data_size")
    data = entry.get("data")
    if (size is None) == (data is None):
        raise ProtocolError(f"{who} needs either 'data' or the parameter 'binary_data_size'")
    if size is None:
        array = _from_json(data, shape, datatype, who, is_answer)
    else:
        array, rest = _from_bytes(size, shape, datatype, who, rest)
    try:
        return array.reshape(shape), rest
    except ValueError as error:  # no elements, and the other dimensions too large
        raise ProtocolError(f"{who} states a shape that no tensor can have") from error


def _from_json(data: Any, shape: list[int], datatype: str, who: str, is_answer: bool) -> np.ndarray:
    """The elements in a list, flat or nested as the shape says."""
    if not isinstance(data, list):
        raise ProtocolError(f"the data of {who} must be a list, not {_word(data)}")
    if data and isinstance(data[0], list):
        data = [data]
        for length in shape:
            if not all(isinstance(row, list) and len(row) == length for row in data):
                raise ProtocolError(f"the data of {who} are nested otherwise than its shape {shape}")
            data = list(chain.from_iterable(data))
    if len(data) != math.prod(shape):
        raise ProtocolError(f"the data of {who} are {len(data)} numbers, but its shape is {shape}")
    if datatype == "BYTES":
        if not all(isinstance(word, str) for word in data):
            raise ProtocolError(f"{who} is BYTES, so its data must be strings")
        return np.array(data, object)
    dtype = DATATYPES["FP32" if datatype == "BF16" else datatype]
    if is_answer and dtype.kind == "f":
        data = [math.nan if number is None else number for number in data]
    wrong = set(map(type, data)) - ({int, float} if dtype.kind == "f" else {int})
    if wrong:
        numbers = "numbers" if dtype.kind == "f" else "whole numbers"
        found = ", ".join(sorted(_WORDS[kind] for kind in wrong))
        raise ProtocolError(f"{who} is {datatype}, so its data must be {numbers}; found {found}")
    try:
        with np.errstate(over="raise"):
            return np.array(data, dtype)
    except (OverflowError, FloatingPointError) as error:
        kind = np.finfo(dtype) if dtype.kind == "f" else np.iinfo(dtype)
        raise ProtocolError(f"the data of {who} must lie between {kind.min} and {kind.max}") from error


def _from_bytes(
    size: Any, shape: list[int], datatype: str, who: str, rest: memoryview
) -> tuple[np.ndarray, memoryview]:
    """The elements in the first bytes, and the bytes that follow."""
    if datatype == "BYTES":
        if type(size) is not int or not 0 <= size <= len(rest):
            raise ProtocolError(f"{who} states {size!r:.30} bytes, but {len(rest)} follow")
        return _words_in(rest[:size], math.prod(shape), who), rest[size:]
    dtype = np.dtype("<u2") if datatype == "BF16" else DATATYPES[datatype]
    needed = math.prod(shape) * dtype.itemsize
    if type(size) is not int or size != needed:
        raise ProtocolError(f"{who}, {datatype} of the shape {shape}, takes {needed} bytes, not {size!r:.30}")
    if size > len(rest):
        raise ProtocolError(f"{who} takes {size} bytes, but only {len(rest)} follow")
    numbers = np.frombuffer(rest[:size], dtype).copy()
    if datatype == "BF16":  # the upper half of a float32
        numbers = (numbers.astype("<u4") << 16).view("<f4")
    return numbers, rest[size:]


def _words_in(part: memoryview, number: int, who: str) -> np.ndarray:
    """So many strings of bytes, each after its length in four bytes."""
    words, place = [], 0
    while place < len(part):
        start = place + 4
        place = start + int.from_bytes(part[place:start], "little")
        words.append(bytes(part[start:place]))
    if place != len(part) or len(words) != number:
        raise ProtocolError(f"the bytes of {who} are not {number} strings, each after its length")
    return np.array(words, object)


_WORDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    type(None): "null",
    int: "a number",
    float: "a number with a fraction",
}


def _word(value: Any) -> str:
    return _WORDS[type(value)]
