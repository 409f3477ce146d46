"""What every suspect is, and the one adapter that makes one of whatever answers queries."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from mea_lib.blackbox.answers import AnswerFormat
    from mea_lib.blackbox.preprocess import Pixels

MOST_PROBABLE = 1 + 1e-6  # a probability, but for rounding


class Suspect(ABC):
    """A model that is queried with images and seen by its answers alone.

    Attributes:
        classes: names of its classes in the order of its answers, as it states them; None where it states none.
        remaining: queries that are left of the budget; None where there is no limit.
        failures: images without an answer so far, by reason.
    """

    classes: tuple[str, ...] | None = None
    remaining: int | None = None
    failures: Mapping[str, int] = MappingProxyType({})

    @abstractmethod
    def __call__(self, images: Tensor) -> Tensor:
        """Answer a query.

        Args:
            images: (N, C, H, W) uint8.

        Returns:
            (N, K) float32, on the images' device; a row of NaN is no answer.
        """

    def cost(self, *images: Tensor) -> int:
        """How many of `remaining` these images, (N, C, H, W) each, would take."""
        return sum(map(len, images))

    def describe(self) -> dict[str, Any]:
        """What a report says of this suspect, in values that JSON knows."""
        return {} if self.classes is None else {"classes": list(self.classes)}


def check_images(images: Any) -> None:
    """Check that these are images that a suspect can be queried with.

    Raises:
        TypeError, ValueError: for everything but (N, C, H, W) uint8.
    """
    if not isinstance(images, Tensor) or images.dtype != torch.uint8:
        kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise TypeError(f"a query is a tensor of uint8 images from 0 to 255, not {kind}")
    if images.ndim != 4:
        raise ValueError(f"a query has the shape (N, C, H, W), not {tuple(images.shape)}")


def check_probabilities(answers: Tensor, otherwise: str) -> None:
    """Check that numbers lie where probabilities do; NaN, which is no answer, may be among them.

    Raises:
        ValueError: for others; it ends with `otherwise`, what follows from that.
    """
    if ((answers < 0) | (answers > MOST_PROBABLE)).any():
        raise ValueError(
            f"the suspect answers with numbers from {answers.min():.3g} to {answers.max():.3g}, which are no "
            f"probabilities; {otherwise}"
        )


def printable(said: str, most: int) -> str:
    """The first characters of what somebody else has said, `most` of them, a blank for each that cannot be shown."""
    return "".join(letter if letter.isprintable() else " " for letter in said[:most])


class SuspectError(RuntimeError):
    """A suspect gave no answer that can be used.

    Attributes:
        reason: the kind of failure in a few words, by which failures are counted.
    """

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnusableAnswer(SuspectError):
    """A suspect that could be queried answered with something that says nothing about classes."""


class AnotherLog(ValueError):
    """A query log that is not of the suspect that is queried now."""


def as_suspect(
    model: Any,
    *,
    pixels: "Pixels | None" = None,
    answers: "AnswerFormat | str | None" = None,
    classes: int | Sequence[str] | None = None,
    batch_size: int | None = None,
    network: str | None = None,
    width: int | None = None,
) -> Suspect:
    """A suspect, of whatever answers queries.

    Before it is queried with all images of the first call it is queried with a few of them; answers that
    cannot be used are found there, and so is a model that takes one image at a time. An image that makes it
    fail later costs no other image its answer.

    Args:
        model: a torch module (queried in evaluation mode; modes and buffers are afterwards what they were), a
            TorchScript module, any function; it may answer with a tensor, an array, a list, a dict or tuple
            that holds one, or an object with `.logits`. Or the path of a file: .safetensors with its card
            beside it, .onnx, TorchScript, or a .pth or .pt state dict with `network`. A `Suspect` is passed
            through.
        pixels: how images become its input, such as `Pixels(input_range=(0, 1))`; None sends them as they are.
        answers: how it answers, such as `AnswerFormat("labels", first_label=1)`, or the kind alone; None finds out.
        classes: names of its classes in the order of its answers, or their number K alone.
        batch_size: images in one call; by default few on a CPU and many elsewhere.
        network: of a state dict, one of `mea_lib.models.NETWORKS` or a classifier of torchvision.
        width: channels of the first layer of one of `mea_lib.models.NETWORKS`; by default as the weights say.

    Raises:
        ValueError: for settings that contradict each other, files of another kind, settings for a `Suspect`.
        TypeError: for something that cannot be queried.
        ImportError: for an ONNX file without onnxruntime.
    """
    from mea_lib.blackbox.adapted import AdaptedSuspect
    from mea_lib.blackbox.answers import AnswerFormat
    from mea_lib.blackbox.class_names import class_names
    from mea_lib.blackbox.model_file import load_model_file
    from mea_lib.blackbox.preprocess import Pixels

    if isinstance(model, Suspect):
        settings = {"pixels": pixels, "answers": answers, "classes": classes}
        settings |= {"batch_size": batch_size, "network": network, "width": width}
        given = [name for name, value in settings.items() if value is not None]
        if given:
            raise ValueError(
                f"{type(model).__name__} is a suspect already and knows how it is asked; "
                f"leave out {', '.join(given)}, or pass them where it is made"
            )
        return model
    if isinstance(model, str | Path):
        model = load_model_file(model, network, width)
    elif network is not None or width is not None:
        raise ValueError("network and width describe a file of weights; leave them out for a model in memory")
    if not callable(model):
        raise TypeError(
            f"a suspect is a module, a function or the path of a file, not {type(model).__name__}; "
            "for weights alone, save them and pass network=…"
        )
    names = class_names(model) if classes is None or isinstance(classes, int) else tuple(classes)
    number = classes if isinstance(classes, int) else None
    if not isinstance(answers, AnswerFormat):
        answers = AnswerFormat(answers or "auto")
    answers = answers.with_classes(names, number)
    return AdaptedSuspect(model, pixels or Pixels(), answers, names or answers.label_names, batch_size)
