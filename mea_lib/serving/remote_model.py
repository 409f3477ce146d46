"""How a model behind the Open Inference Protocol takes images and gives answers, as its metadata say."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import Tensor

from mea_lib.blackbox.answers import MOST_CLASSES, AnswerFormat
from mea_lib.blackbox.preprocess import Pixels
from mea_lib.blackbox.suspect import SuspectError, printable
from mea_lib.serving.oip import DATATYPES, Answer, ProtocolError, pack, unpack

FLOATS = tuple(word for word, kind in DATATYPES.items() if kind.kind == "f")
# An answer's JSON, other outputs that come along unasked, and a number in JSON with an indented line of its own.
BYTES_AN_ANSWER, BYTES_AN_IMAGE, BYTES_A_NUMBER = 1 << 20, 1 << 16, 64
INTEGERS = tuple(word for word in DATATYPES if word not in (*FLOATS, "INT8"))  # those that hold 255


@dataclass(frozen=True)
class RemoteModel:
    """What must be known to query one model.

    Attributes:
        name: of the model.
        version: the one that is queried; None where the server has no versions.
        input_name: of the tensor that holds the images.
        datatype: of that tensor, in the protocol's words.
        shape: of that tensor, -1 for any; None where it is not known.
        output_name: of the tensor with the answers; None takes the only one there is.
        pixels: how images become numbers of that type.
        answer_format: how its answers are read.
        classes: names of its classes in order; None where nobody states them.
        says: what else its metadata say, by which it is recognised.

    Raises:
        ValueError: for a datatype that images cannot be written in, or a range that is missing or none.
    """

    name: str
    version: str | None
    input_name: str
    datatype: str
    shape: tuple[int, ...] | None = None
    output_name: str | None = None
    pixels: Pixels = field(default_factory=Pixels)
    answer_format: AnswerFormat = field(default_factory=AnswerFormat)
    classes: tuple[str, ...] | None = None
    says: dict[str, Any] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.datatype not in INTEGERS + FLOATS:
            raise ValueError(
                f"the model {self.name} takes {self.datatype}, which holds no pixels from 0 to 255; "
                f"it must take one of: {', '.join(INTEGERS + FLOATS)}"
            )
        if self.datatype in FLOATS and self.pixels.is_plain:
            raise ValueError(
                f"the model {self.name} takes {self.datatype} and does not say in which range; "
                "pass input_range=(0, 1), or what the pixels 0 and 255 become"
            )
        if self.datatype in INTEGERS and not self.pixels.is_plain:
            raise ValueError(
                f"the model {self.name} takes {self.datatype}, pixels as they are; leave input_range, mean and std out"
            )

    def largest_batch(self, images: Tensor) -> int | None:
        """How many of such images, (N, C, H, W) uint8, fit in one request; None where nothing limits them.

        Raises:
            ValueError: for images that do not fit the model's input.
        """
        _, is_bare = self._arranged(self.pixels.prepared(images[:1].cpu()).numpy())
        if is_bare:
            return 1
        return self.shape[0] if self.shape and self.shape[0] > 0 else None

    def request(self, images: Tensor) -> tuple[bytes, dict[str, str]]:
        """The body of an inference request and its headers.

        Args:
            images: (N, C, H, W) uint8, no more than `largest_batch`.

        Raises:
            ValueError: for images that do not fit the model's input.
        """
        arranged, _ = self._arranged(self.pixels.prepared(images.cpu()).numpy())
        pixels = np.ascontiguousarray(arranged, DATATYPES[self.datatype])
        wanted = {"outputs": [{"name": self.output_name}]} if self.output_name else {}
        return pack(wanted, "inputs", {self.input_name: pixels})

    def _arranged(self, pixels: np.ndarray) -> tuple[np.ndarray, bool]:
        """The first arrangement of these images that the input's shape allows.

        Returns:
            the images, and whether they go one by one, without a dimension of images.
        """
        number, channels, height, width = pixels.shape
        last = pixels.transpose(0, 2, 3, 1)
        arrangements = [last] if self.pixels.layout == "last" else [pixels, last]
        if channels == 1:
            arrangements.append(pixels[:, 0])  # (N, H, W)
        arrangements.append(arrangements[0].reshape(number, -1))
        if self.shape is None:
            return arrangements[0], False
        for arranged in arrangements:
            if self._fits(arranged.shape, from_dimension=1):
                return arranged, False
        for arranged in arrangements if number else ():
            if self._fits(arranged.shape[1:]):
                return arranged[0], True
        raise ValueError(
            f"the model {self.name} takes {list(self.shape)}, which images of the shape "
            f"({channels}, {height}, {width}) do not fit; ask it about the images it was made for, or pass size=…"
        )

    def _fits(self, shape: tuple[int, ...], from_dimension: int = 0) -> bool:
        return len(self.shape) == len(shape) and all(
            said < 0 or said == given
            for said, given in zip(self.shape[from_dimension:], shape[from_dimension:], strict=True)
        )

    def largest_answer(self, images: int, width: int | None = None) -> int:
        """Bytes that are enough for the answer to so many images, in JSON or binary.

        Args:
            images: in the request.
            width: K, where the model has answered before.
        """
        known = width or self.answer_format.number or MOST_CLASSES
        longest = max(map(len, self.answer_format.label_names or ("",)))
        a_number = BYTES_A_NUMBER + 6 * longest  # a letter of a name is up to six, as in \\u00e9
        return BYTES_AN_ANSWER + images * (BYTES_AN_IMAGE + known * a_number)

    def answers(
        self, body: bytes, header_length: str | None, images: int
    ) -> tuple[Tensor, list[SuspectError | None]]:
        """The answers in a response, one row an image.

        Args:
            body: of the response.
            header_length: as `mea_lib.serving.oip.unpack` takes it.
            images: how many were sent.

        Returns:
            (N, K) float32, NaN in rows that are no answer; and for each row why it is none.

        Raises:
            SuspectError: for anything that cannot be read as answers to so many images.
        """
        try:
            _, tensors = unpack(body, header_length, Answer)
        except ProtocolError as error:
            raise SuspectError(_said_instead(body, error), "not the protocol") from error
        if self.output_name in tensors:
            numbers = tensors[self.output_name]
        elif len(tensors) == 1:
            (numbers,) = tensors.values()
        else:
            raise SuspectError(
                f"the suspect's answer has {len(tensors)} outputs and none called {self.output_name}; "
                "pass output_name=…",
                "not the protocol",
            )
        return self.answer_format.read(numbers, images)


def _said_instead(body: bytes, error: ProtocolError) -> str:
    """What is wrong with a response that is none of the protocol's."""
    start = body[:200].decode("utf-8", "replace").strip()
    if start.startswith("<"):
        shown = printable(start, 60)
        return (
            f"the suspect answers with a page for people, {shown!r}…, not with the protocol; check the url, and whether "
            "a proxy or a log-in stands before it"
        )
    return f"the suspect's answer cannot be read: {error}"


def read_metadata(
    metadata: Any,
    name: str,
    *,
    version: str | None = None,
    input_name: str | None = None,
    output_name: str | None = None,
    datatype: str | None = None,
    classes: int | Sequence[str] | None = None,
    pixels: Pixels | None = None,
    answers: str = "auto",
    first_label: int = 0,
    label_names: Sequence[str] | None = None,
) -> RemoteModel:
    """The model as its metadata describe it; what is passed here counts for more than what they say.

    Whoever passes both name and datatype of the input does without the metadata's shape too, and the images go
    out as (N, C, H, W).

    Args:
        metadata: the server's answer to `GET v2/models/NAME`, or whatever came in its place.
        name: of the model.
        version: to query; needed where the server has several.
        input_name: of the input tensor.
        output_name: of the output tensor.
        datatype: of the input tensor.
        classes: names of its classes in order, or K alone.
        pixels: how images become its input.
        answers, first_label, label_names: how it answers, as in `mea_lib.blackbox.AnswerFormat`.

    Raises:
        ValueError: where metadata and arguments together do not say how to query it.
    """
    metadata = metadata if isinstance(metadata, dict) else {}
    # Reports and evidence hold one of them.
    versions = [printable(str(one), 100).strip() for one in _listed(metadata, "versions")]
    if version is None and len(versions) > 1:
        raise ValueError(f"the model {name} has the versions {', '.join(versions)}; name one with version=…")
    inputs, outputs = (
        {str(one["name"]): one for one in _listed(metadata, kind) if isinstance(one, dict) and "name" in one}
        for kind in ("inputs", "outputs")
    )
    tensor = _one_of(inputs, input_name, "input", name)
    answer = _one_of(outputs, output_name, "output", name) if outputs else {"name": output_name}
    datatype_passed, datatype = datatype is not None, datatype or tensor.get("datatype")
    if not datatype:
        raise ValueError(
            f"the server does not say what the model {name} takes; pass input_name=… and datatype=…, "
            "such as 'UINT8'"
        )
    shape = None if input_name and datatype_passed else _shape(tensor)
    number = classes if isinstance(classes, int) else None
    names = tuple(classes) if classes is not None and number is None else _class_names(metadata)
    if number is None and names is None and label_names is None:
        number = _width(_shape(answer))
    answer_format = AnswerFormat(answers, first_label, label_names).with_classes(names, number)
    return RemoteModel(
        name=name,
        version=version or (versions[0] if versions else None),
        input_name=tensor["name"],
        datatype=str(datatype),
        shape=shape,
        output_name=answer["name"],
        pixels=pixels or Pixels(),
        answer_format=answer_format,
        classes=names or answer_format.label_names,
        says={part: metadata.get(part) for part in ("platform", "inputs", "outputs")},
    )


def _class_names(metadata: dict[str, Any]) -> tuple[str, ...] | None:
    """What the metadata call the classes, as `mea serve` states them; None where they do not."""
    parameters = metadata.get("parameters")
    names = parameters.get("classes") if isinstance(parameters, dict) else None
    if isinstance(names, list) and len(names) > 1 and all(isinstance(name, str) for name in names):
        return tuple(names) if len(set(names)) == len(names) else None
    return None


def _width(shape: tuple[int, ...] | None) -> int | None:
    """K, where the shape of an output is (N, K)."""
    return shape[1] if shape and len(shape) == 2 and shape[1] > 1 else None


def _one_of(tensors: dict[str, dict], chosen: str | None, kind: str, model: str) -> dict[str, Any]:
    """The tensor that was chosen, or the only one; what the server does not list is taken on trust."""
    if chosen is not None:
        return tensors.get(chosen, {"name": chosen})
    if len(tensors) == 1:
        return next(iter(tensors.values()))
    if tensors:
        raise ValueError(
            f"the model {model} has the {kind}s {', '.join(tensors)}; name one with {kind}_name=…"
        )
    raise ValueError(f"the server does not say how the {kind} of {model} is called; pass {kind}_name=…")


def _listed(metadata: dict[str, Any], name: str) -> list[Any]:
    entries = metadata.get(name)
    return entries if isinstance(entries, list) else []


def _shape(tensor: dict[str, Any]) -> tuple[int, ...] | None:
    """A tensor's shape; None for one that is missing, empty, or no list of whole numbers."""
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not shape or not all(type(length) is int for length in shape):
        return None
    return tuple(shape)
