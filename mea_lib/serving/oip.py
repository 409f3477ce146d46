"""Messages of the Open Inference Protocol over HTTP: tensors in JSON, or as bytes that follow the JSON.

Both sides use this file: a request carries its tensors as "inputs", a response as "outputs". What a message is made of
is said by models of pydantic; members that they do not name are passed over, and one that is null is an absent one.

Source: KServe, Open Inference Protocol, version 2 (REST); Triton, binary tensor data extension.
"""

import json
import math
from collections.abc import Callable, Collection, Mapping
from itertools import chain
from typing import Annotated, Any, Literal, TypeVar

import numpy as np

try:
    import orjson
    from pydantic import BaseModel, ConfigDict, Field, Strict, TypeAdapter, ValidationError
except ImportError as error:
    raise ImportError(
        f"messages to and from a model behind HTTP are read with {error.name}, which is not installed; "
        'run: pip install "mea-lib[service]"'
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
_ARRAYS = DATATYPES | {"BF16": np.dtype("<f4"), "BYTES": np.dtype(object)}
MOST_DIMENSIONS = 32


class ProtocolError(ValueError):
    """A message that is not one of the protocol; the sentence says what is wrong with it."""


class Part(BaseModel):
    """A JSON object of the protocol, whose members are of just these types."""

    model_config = ConfigDict(strict=True)


T = TypeVar("T")
Count = Annotated[int, Field(ge=0)]


class Parameters(Part):
    """What is said of a message, a tensor or an output that is wanted: how many bytes it is, or whether it should be."""

    binary_data_size: int | None = None
    binary_data: bool | None = None
    binary_data_output: bool | None = None


class Tensor(Part):
    """One tensor of a message; its data, flat or nested as the shape says, are here or follow as bytes."""

    name: str
    datatype: Literal[tuple(DATATYPES)]
    shape: Annotated[list[Count], Field(max_length=MOST_DIMENSIONS)]
    parameters: Parameters | None = None
    data: list[Any] | None = None


class AnswerTensor(Tensor):
    """The same in an answer."""

    datatype: Literal[tuple(_ARRAYS)]


class Request(Part):
    """A request of any model."""

    inputs: Annotated[list[Tensor], Field(fail_fast=True)] | None = None


class Answer(Part):
    """An answer of any model."""

    outputs: Annotated[list[AnswerTensor], Field(fail_fast=True)] | None = None


def _list_of(dtype: np.dtype) -> TypeAdapter:
    """Checks the elements of a tensor in JSON."""
    if dtype.kind == "O":
        element = str
    elif dtype.kind == "f":
        element = float
    else:
        element = Annotated[int, Field(ge=np.iinfo(dtype).min, le=np.iinfo(dtype).max)]
    return TypeAdapter(Annotated[list[Annotated[element, Strict()]], Field(fail_fast=True)])


_LISTS = {datatype: _list_of(dtype) for datatype, dtype in _ARRAYS.items()}


def _checked(validate: Callable[[Any], T], value: Any, who: str) -> T:
    """What pydantic makes of a value of JSON; else a ProtocolError that says which part is wrong, and what was expected."""
    try:
        return validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        words = "Input should be a JSON object" if first["type"] == "model_type" else first["msg"]
        said = f"{words[:1].lower()}{words[1:200]}"
        raise ProtocolError(f"{who} is refused{f' at {place[:100]!r}' if place else ''}: {said}") from error


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


def unpack(body: bytes, header_length: str | None, model: type[T]) -> tuple[T, dict[str, np.ndarray]]:
    """Read a message of unknown origin; the work is bounded by the length of the body.

    Responses are read more kindly than requests: NaN and infinities, which JSON lacks and some servers write, null
    among their numbers, which is NaN, and the datatypes BF16 and BYTES.

    Args:
        body: of the request or response.
        header_length: value of the header HEADER_LENGTH; None where there is none.
        model: what the message must be, a `Request` or an `Answer`.

    Returns:
        the message, and its tensors by name, each writable and of the shape it states; BF16 becomes float32 and BYTES
        an array of `bytes` or `str`.

    Raises:
        ProtocolError: for everything that is no such message.
    """
    json_bytes, rest = _split(body, header_length)
    is_answer = issubclass(model, Answer)
    message = _checked(model.model_validate, _json(json_bytes, is_answer), "the message")
    tensors: dict[str, np.ndarray] = {}
    for entry in (message.outputs if is_answer else message.inputs) or ():
        if entry.name in tensors:
            raise ProtocolError(f"two tensors are called {entry.name[:50]!r}; each needs a name of its own")
        tensors[entry.name], rest = _tensor(entry, f"the tensor {entry.name[:50]!r}", rest, is_answer)
    if rest:
        raise ProtocolError(f"{len(rest)} bytes are left over after the last tensor")
    return message, tensors


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


def _tensor(entry: Tensor, who: str, rest: memoryview, is_answer: bool) -> tuple[np.ndarray, memoryview]:
    """The tensor that this entry describes, and the bytes that follow its own."""
    size = entry.parameters and entry.parameters.binary_data_size
    if (size is None) == (entry.data is None):
        raise ProtocolError(f"{who} needs either 'data' or the parameter 'binary_data_size'")
    if size is None:
        array = _from_json(entry.data, entry.shape, entry.datatype, who, is_answer)
    else:
        array, rest = _from_bytes(size, entry.shape, entry.datatype, who, rest)
    try:
        return array.reshape(entry.shape), rest
    except ValueError as error:  # no elements, and the other dimensions too large
        raise ProtocolError(f"{who} states a shape that no tensor can have") from error


def _from_json(data: list, shape: list[int], datatype: str, who: str, is_answer: bool) -> np.ndarray:
    """The elements in a list, flat or nested as the shape says."""
    if data and isinstance(data[0], list):
        data = [data]
        for length in shape:
            if not all(isinstance(row, list) and len(row) == length for row in data):
                raise ProtocolError(f"the data of {who} are nested otherwise than its shape {shape}")
            data = list(chain.from_iterable(data))
    if len(data) != math.prod(shape):
        raise ProtocolError(f"the data of {who} are {len(data)} numbers, but its shape is {shape}")
    dtype = _ARRAYS[datatype]
    if is_answer and dtype.kind == "f":
        data = [math.nan if number is None else number for number in data]
    elements = _checked(_LISTS[datatype].validate_python, data, f"{who}, {datatype},")
    try:
        with np.errstate(over="raise"):
            return np.array(elements, dtype)
    except FloatingPointError as error:
        most = np.finfo(dtype).max
        raise ProtocolError(f"the data of {who}, {datatype}, must lie between {-most} and {most}") from error


def _from_bytes(
    size: int, shape: list[int], datatype: str, who: str, rest: memoryview
) -> tuple[np.ndarray, memoryview]:
    """The elements in the first bytes, and the bytes that follow."""
    if datatype == "BYTES":
        if not 0 <= size <= len(rest):
            raise ProtocolError(f"{who} states {size!s:.30} bytes, but {len(rest)} follow")
        return _words_in(rest[:size], math.prod(shape), who), rest[size:]
    dtype = np.dtype("<u2") if datatype == "BF16" else _ARRAYS[datatype]
    needed = math.prod(shape) * dtype.itemsize
    if size != needed:
        raise ProtocolError(f"{who}, {datatype} of the shape {shape}, takes {needed} bytes, not {size!s:.30}")
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
