"""What a suspect answers, made one kind of thing: K numbers an image, or the reason why there are none."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mea_lib.blackbox.suspect import SuspectError, UnusableAnswer

KINDS = ("auto", "logits", "probabilities", "log-probabilities", "labels")
MOST_CLASSES = 65_536
WRONG_NUMBER = "wrong number of answers"
ONE_ANSWER = "one answer to several images"
NO_NUMBERS = "no finite numbers"
_RANGES = {"probabilities": (0.0, 1.0), "log-probabilities": (-np.inf, 0.0)}
ROUNDING = 1e-3  # by which a probability of low precision may lie beyond 0 or 1
_KEYS = ("logits", "probabilities", "output", "outputs", "scores")
# As Triton and KServe write a classification: score, number and, where they know it, name.
_CLASSIFICATION = re.compile(r"-?[\d.]+(?:e[+-]?\d+)?:(\d{1,9})(?::(.*))?", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class AnswerFormat:
    """How a suspect answers.

    Attributes:
        kind: what its numbers are, one of KINDS. Logits and logarithms become probabilities, labels one-hot rows;
            "auto" takes several numbers as they are, and one whole number or a name as a label.
        first_label: number of its first class, where it answers with numbers of classes.
        label_names: its words for the classes in order, where it answers with names; None for the classes' own.
        number: K, classes it tells apart; None where that is not known.

    Raises:
        ValueError: for values that mean nothing.
    """

    kind: str = "auto"
    first_label: int = 0
    label_names: Sequence[str] | None = None
    number: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"unknown kind of answers {self.kind!r}; choose one of: {', '.join(KINDS)}")
        if self.number is not None and self.number < 2:
            raise ValueError(f"a classifier tells 2 or more classes apart, not {self.number}")
        if self.label_names is not None:
            object.__setattr__(self, "label_names", tuple(self.label_names))
            if len(set(map(_plain, self.label_names))) < len(self.label_names):
                raise ValueError(f"each class needs a name of its own; got {', '.join(self.label_names)}")

    def with_classes(self, names: Sequence[str] | None, number: int | None) -> "AnswerFormat":
        """The same of a model that tells these classes apart: by their names in order, their number, or neither.

        Raises:
            ValueError: where they contradict each other.
        """
        told = {
            "classes": self.number if number is None else number,
            "names of classes": len(names) if names else None,
            "label_names": len(self.label_names) if self.label_names else None,
        }
        lengths = {what: length for what, length in told.items() if length is not None}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{value} {what}" for what, value in lengths.items())
            raise ValueError(f"the classes are not told alike: {said}; give the same number of each")
        return replace(
            self, label_names=self.label_names or names or None, number=next(iter(lengths.values()), None)
        )

    def read(self, answer: Any, images: int) -> tuple[Tensor, list[SuspectError | None]]:
        """The answers to some images.

        Args:
            answer: numbers (N, K), labels or names (N), as a tensor, an array or a list, or in a dict, a tuple
                or an object with `.logits`.
            images: N, how many were sent.

        Returns:
            (N, K) float32 on the CPU or where the answer was, NaN in rows that are no answer; and for each row
            why it is none.

        Raises:
            SuspectError: for what cannot be read as answers to so many images.
        """
        values = _array(answer, images)
        if not isinstance(values, Tensor):
            return self._named(values, images)
        rows = _by_image(values, images)
        whole = not rows.is_floating_point() and rows.dtype != torch.bool and self.number is not None
        if rows.shape[1] == 1 and (self.kind == "labels" or (self.kind == "auto" and whole)):
            return self._labels(rows[:, 0].cpu().double())
        return self._numbers(rows)

    def _numbers(self, rows: Tensor) -> tuple[Tensor, list[SuspectError | None]]:
        """Rows of K numbers as they are, or as probabilities where it is known what they are."""
        width = rows.shape[1]
        if width < 2:
            raise UnusableAnswer(
                "the suspect does not answer with several numbers an image; if it answers with labels, pass "
                "classes=…, if another output holds the probabilities, pass output_name=…",
                "one number an image",
            )
        if self.kind == "labels":
            raise UnusableAnswer(
                f"the suspect answers with {width} numbers an image, not with labels; leave out answers=labels",
                "several numbers an image",
            )
        if width > MOST_CLASSES or self.number not in (None, width):
            expected = (
                "which are no classes" if self.number is None else f"but {self.number} classes were expected"
            )
            raise UnusableAnswer(
                f"the suspect answers with {width:,} numbers an image, {expected}; it may be a model for another task, "
                "or another output holds the probabilities; else pass classes=…",
                "another width",
            )
        rows = rows.float()
        are_logarithms = self.kind in ("logits", "log-probabilities")
        # The logarithm of 0 is an answer.
        usable = rows.isfinite().any(1) & ~(rows.isnan() | rows.isposinf()).any(1)
        usable &= are_logarithms | rows.isfinite().all(1)
        low, high = _RANGES.get(self.kind, (-np.inf, np.inf))
        least, most = rows[usable].aminmax() if usable.any() else (low, high)
        if least < low - ROUNDING or most > high + ROUNDING:
            raise UnusableAnswer(
                f"the suspect's answers are no {self.kind}: they reach from {least:.3g} to {most:.3g}; "
                "say what they are with answers=…",
                f"no {self.kind}",
            )
        if are_logarithms:
            exact = rows.cpu().double()  # not every device has float64
            rows = (exact.softmax(1) if self.kind == "logits" else exact.exp()).to(rows.device, torch.float32)
        return _with_reasons(
            rows, usable, "the suspect answered NaN or infinity, which names no class", NO_NUMBERS
        )

    def _labels(self, labels: Tensor) -> tuple[Tensor, list[SuspectError | None]]:
        """Rows of one 1, from numbers of classes (N,)."""
        if self.number is None:
            raise UnusableAnswer(
                "the suspect answers with labels, and nothing says how many classes there are; pass classes=…",
                "labels of unknown number",
            )
        last = self.first_label + self.number - 1
        return self._one_hot(
            labels - self.first_label,
            f"the suspect answers with labels beyond {self.first_label} to {last}; "
            "if its first class has another number, pass first_label=…",
            "unknown label",
        )

    def _named(self, words: list[str], images: int) -> tuple[Tensor, list[SuspectError | None]]:
        """Rows of one 1, from names of classes."""
        if len(words) != images:
            raise UnusableAnswer(
                f"{images} images were asked, but the suspect answered with {len(words)} names",
                WRONG_NUMBER,
            )
        places = {_plain(word): place for place, word in enumerate(self.label_names or ())}
        numbers = [self._place(word, places) for word in words]
        if self.number is None or (not places and all(number is None for number in numbers)):
            raise UnusableAnswer(
                f"the suspect answers with names such as {words[0][:50]!r}, and nothing says in which order its classes "
                "stand; pass label_names=…",
                "names without an order",
            )
        unknown = next((word for word, number in zip(words, numbers, strict=True) if number is None), "")
        return self._one_hot(
            torch.tensor([-1 if number is None else number for number in numbers]),
            f"the suspect answers with the name {unknown[:50]!r}, which is none of: {', '.join(self.label_names or ())[:300]}; "
            "pass label_names=…",
            "unknown name",
        )

    def _one_hot(
        self, places: Tensor, sentence: str, reason: str
    ) -> tuple[Tensor, list[SuspectError | None]]:
        """Rows of one 1 at these places (N,), from 0; those beyond K or between are no answers."""
        usable = (places >= 0) & (places < self.number) & (places == places.round())
        rows = torch.nn.functional.one_hot(places.where(usable, 0).long(), self.number).float()
        return _with_reasons(rows, usable, sentence, reason)

    def _place(self, word: str, places: Mapping[str, int]) -> int | None:
        """Number of the class from 0; None for a word that means none."""
        if _plain(word) in places:
            return places[_plain(word)]
        parts = _CLASSIFICATION.fullmatch(word.strip())
        if parts is None:
            return None
        if parts[2] and places:
            return places.get(_plain(parts[2]))
        number = int(parts[1])
        return number if self.number is not None and number < self.number else None


def _with_reasons(
    rows: Tensor, usable: Tensor, sentence: str, reason: str
) -> tuple[Tensor, list[SuspectError | None]]:
    """NaN in the rows that cannot be used, and what is wrong with them."""
    if usable.all():
        return rows, [None] * len(rows)
    rows = torch.where(usable[:, None].to(rows.device), rows, torch.nan)
    return rows, [None if good else UnusableAnswer(sentence, reason) for good in usable.tolist()]


def _by_image(numbers: Tensor, images: int) -> Tensor:
    """(N, …) numbers as (N, K); one image's may come without the dimension of images."""
    lengths = [length for length in numbers.shape if length != 1]
    if images == 1 and (numbers.ndim < 2 or numbers.shape[0] != 1) and len(lengths) <= 1:
        return numbers.reshape(1, -1)
    if images > 1 and numbers.numel() > 1 and numbers.ndim and len(numbers) != images and len(lengths) == 1:
        raise UnusableAnswer(
            f"{images} images were asked, but the suspect's answer is one of {numbers.numel()} numbers; "
            "ask it about one image at a time",
            ONE_ANSWER,
        )
    if not numbers.ndim or len(numbers) != images:
        raise UnusableAnswer(
            f"{images} images were asked, but the suspect's answer has the shape {tuple(numbers.shape)}",
            WRONG_NUMBER,
        )
    return numbers.reshape(images, -1) if numbers.numel() else numbers.reshape(images, 0)


def _array(answer: Any, images: int) -> Tensor | list[str]:
    """The numbers of an answer, or its names."""
    if isinstance(answer, Tensor):
        if answer.is_complex():
            raise _unreadable(answer)
        return answer.detach()
    if isinstance(answer, str | bytes):
        return [_text(answer)]
    if isinstance(answer, np.ndarray | np.generic):
        return _from_numpy(np.asarray(answer), answer)
    if getattr(answer, "logits", None) is not None:
        return _array(answer.logits, images)
    if isinstance(answer, Mapping):
        return _array(_member(answer), images)
    if isinstance(answer, list | tuple) and answer:
        if all(isinstance(part, str | bytes) for part in answer):
            return [_text(part) for part in answer]
        if not isinstance(answer[0], Tensor | np.ndarray | Mapping):
            try:
                return _from_numpy(np.array(answer), answer)
            except ValueError as error:
                raise _unreadable(answer) from error
        is_a_row_each = all(isinstance(part, Tensor | np.ndarray) and part.ndim < 2 for part in answer)
        if len(answer) == images and is_a_row_each and (images > 1 or answer[0].ndim == 1):
            try:
                return torch.stack([_array(part, 1) for part in answer])
            except (RuntimeError, TypeError) as error:
                raise _unreadable(answer) from error
        return _array(answer[0], images)
    if isinstance(answer, int | float):
        return torch.tensor([answer])
    raise _unreadable(answer)


def _from_numpy(array: np.ndarray, answer: Any) -> Tensor | list[str]:
    if array.dtype.kind in "US" or (
        array.dtype.kind == "O" and all(isinstance(word, str | bytes) for word in array.flat)
    ):
        first = array.reshape(len(array), -1)[:, 0] if array.ndim and array.size else array.reshape(-1)
        return [_text(word) for word in first.tolist()]
    if array.dtype.kind not in "biuf":
        raise _unreadable(answer)
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused as such
        return torch.from_numpy(array.astype(np.float32 if array.dtype.kind == "f" else np.int64))


def _member(answer: Mapping) -> Any:
    """The member of a dict that holds the answers."""
    for key in _KEYS:
        if answer.get(key) is not None:
            return answer[key]
    arrays = [value for value in answer.values() if isinstance(value, Tensor | np.ndarray | list | tuple)]
    if len(arrays) != 1:
        raise UnusableAnswer(
            f"the suspect answers with a dict of {', '.join(map(str, list(answer)[:20])) or 'nothing'}, and none of them "
            f"is called {', '.join(_KEYS)}; wrap it in a function that returns the numbers",
            "unreadable answer",
        )
    return arrays[0]


def _unreadable(answer: Any) -> SuspectError:
    return UnusableAnswer(
        f"the suspect's answer is {type(answer).__name__}, not K numbers or a label for each image; "
        "wrap it in a function that returns those",
        "unreadable answer",
    )


def _text(word: str | bytes) -> str:
    return word.decode("utf-8", "replace") if isinstance(word, bytes) else str(word)


def _plain(word: str) -> str:
    """A name without what nobody sees: one Unicode form, no blanks around it."""
    return unicodedata.normalize("NFC", word).strip()
