"""How a model behind the Open Inference Protocol takes images and gives answers, as its metadata say."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mea_lib.blackbox.oip import DATATYPES, ProtocolError, pack, unpack
from mea_lib.blackbox.suspect_error import SuspectError

FLOATS = tuple(word for word, kind in DATATYPES.items() if kind.kind == "f")
INTEGERS = tuple(word for word in DATATYPES if word not in (*FLOATS, "INT8"))  # those that hold 255


@dataclass(frozen=True)
class RemoteModel:
    """What must be known to ask one model.

    Attributes:
        name: of the model.
        version: the one that is asked; None where the server has no versions.
        input_name: of the tensor that holds the images.
        datatype: of that tensor, in the protocol's words.
        shape: of that tensor, -1 for any; None where it is not known.
        output_name: of the tensor with the answers; None takes the only one there is.
        classes: K, numbers in an answer; None where it is not known.
        input_range: what the pixels 0 and 255 become; None leaves them as they are.

    Raises:
        ValueError: for a datatype that images cannot be written in, or a range that is missing or none.
    """

    name: str
    version: str | None
    input_name: str
    datatype: str
    shape: tuple[int, ...] | None = None
    output_name: str | None = None
    classes: int | None = None
    input_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.datatype not in INTEGERS + FLOATS:
            raise ValueError(
                f"the model {self.name} takes {self.datatype}, which holds no pixels from 0 to 255; "
                f"it must take one of: {', '.join(INTEGERS + FLOATS)}"
            )
        if self.datatype in FLOATS and self.input_range is None:
            raise ValueError(
                f"the model {self.name} takes {self.datatype} and does not say in which range; "
                "pass input_range=(0, 1), or what the pixels 0 and 255 become"
            )
        if self.datatype in INTEGERS and self.input_range is not None:
            raise ValueError(
                f"the model {self.name} takes {self.datatype}, pixels as they are; leave input_range out"
            )
        if self.input_range is not None:
            low, high = self.input_range
            if not (math.isfinite(low) and math.isfinite(high) and low != high):
                raise ValueError(f"input_range must be two different numbers, not {self.input_range}")

    @property
    def largest_batch(self) -> int | None:
        """Images in one request, where the first dimension of the input limits them."""
        return self.shape[0] if self.shape and self.shape[0] > 0 else None

    def request(self, images: Tensor) -> tuple[bytes, dict[str, str]]:
        """The body of an inference request and its headers.

        Args:
            images: (N, C, H, W) uint8.

        Raises:
            ValueError: for images that do not fit the model's input.
        """
        pixels = self._arranged(images.cpu().numpy())
        if self.input_range is not None:
            low, high = self.input_range
            pixels = low + pixels * ((high - low) / 255)
        pixels = np.ascontiguousarray(pixels, DATATYPES[self.datatype])
        wanted = {"outputs": [{"name": self.output_name}]} if self.output_name else {}
        return pack(wanted, "inputs", {self.input_name: pixels})

    def _arranged(self, pixels: np.ndarray) -> np.ndarray:
        """The first arrangement of these images that the input's shape allows."""
        number, channels, height, width = pixels.shape
        arrangements = [pixels, pixels.transpose(0, 2, 3, 1)]  # channels first, channels last
        if channels == 1:
            arrangements.append(pixels[:, 0])  # (N, H, W)
        arrangements.append(pixels.reshape(number, -1))
        for arranged in arrangements:
            if self.shape is None or (
                len(self.shape) == arranged.ndim
                and all(
                    said < 0 or said == own
                    for said, own in zip(self.shape[1:], arranged.shape[1:], strict=True)
                )
            ):
                return arranged
        raise ValueError(
            f"the model {self.name} takes {list(self.shape)}, which images of the shape "
            f"({channels}, {height}, {width}) do not fit; ask it about the images it was made for"
        )

    def answers(self, body: bytes, header_length: str | None, images: int) -> Tensor:
        """The answers in a response, one row an image.

        Any numbers are taken as they are, logits as well as probabilities. Whole numbers, one an image, are taken
        as labels where `classes` is known, and become one-hot rows.

        Args:
            body: of the response.
            header_length: as `mea_lib.blackbox.oip.unpack` takes it.
            images: how many were asked.

        Returns:
            (N, K) float32; a row may hold NaN or infinities, which are the caller's to refuse.

        Raises:
            SuspectError: for anything else.
        """
        try:
            _, tensors = unpack(body, header_length, "outputs")
        except ProtocolError as error:
            raise SuspectError(f"the suspect's answer cannot be read: {error}", "not the protocol") from error
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
        if not numbers.ndim or len(numbers) != images:
            raise SuspectError(
                f"{images} images were asked, but the suspect's answer has the shape {numbers.shape}",
                "wrong number of answers",
            )
        with np.errstate(
            over="ignore"
        ):  # what is too large for float32 becomes infinite, and is refused as such
            rows = torch.from_numpy(numbers.reshape(images, -1).astype(np.float32))
        if rows.shape[1] > 1:
            return rows
        if numbers.size != images or numbers.dtype.kind == "f" or self.classes is None:
            raise SuspectError(
                "the suspect does not answer with several numbers an image; if it answers with labels, pass "
                "classes=…, if another output holds the probabilities, pass output_name=…",
                "one number an image",
            )
        if not ((rows >= 0) & (rows < self.classes)).all():
            raise SuspectError(
                f"the suspect answers with labels beyond 0 to {self.classes - 1}", "unknown label"
            )
        return torch.nn.functional.one_hot(rows[:, 0].long(), self.classes).float()


def read_metadata(
    metadata: Any,
    name: str,
    *,
    version: str | None = None,
    input_name: str | None = None,
    output_name: str | None = None,
    datatype: str | None = None,
    classes: int | None = None,
    input_range: tuple[float, float] | None = None,
) -> RemoteModel:
    """The model as its metadata describe it; what is passed here counts for more than what they say.

    Whoever passes both name and datatype of the input does without the metadata's shape too, and the images go
    out as (N, C, H, W).

    Args:
        metadata: the server's answer to `GET v2/models/NAME`, or whatever came in its place.
        name: of the model.
        version: to ask; needed where the server has several.
        input_name: of the input tensor.
        output_name: of the output tensor.
        datatype: of the input tensor.
        classes: K, for models that answer with labels.
        input_range: what the pixels 0 and 255 become, for models that take floats.

    Raises:
        ValueError: where metadata and arguments together do not say how to ask.
    """
    metadata = metadata if isinstance(metadata, dict) else {}
    versions = [str(one) for one in _listed(metadata, "versions")]
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
    answer_shape = _shape(answer)
    said = answer_shape[-1] if answer_shape and len(answer_shape) > 1 and answer_shape[-1] > 1 else None
    return RemoteModel(
        name=name,
        version=version or (versions[0] if versions else None),
        input_name=tensor["name"],
        datatype=str(datatype),
        shape=shape,
        output_name=answer["name"],
        classes=classes or said,
        input_range=None if input_range is None else (float(input_range[0]), float(input_range[1])),
    )


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
    found = metadata.get(name)
    return found if isinstance(found, list) else []


def _shape(tensor: dict[str, Any]) -> tuple[int, ...] | None:
    """A tensor's shape; None for one that is missing, empty, or no list of whole numbers."""
    shape = tensor.get("shape")
    if not isinstance(shape, list) or not shape or not all(type(length) is int for length in shape):
        return None
    return tuple(shape)
