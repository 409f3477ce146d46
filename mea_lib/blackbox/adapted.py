"""A suspect in memory: whatever can be called with images, queried in the way that it understands."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from mea_lib.blackbox.answers import ONE_ANSWER, WRONG_NUMBER, AnswerFormat
from mea_lib.blackbox.passed_on import PassedOn
from mea_lib.blackbox.preprocess import Pixels
from mea_lib.blackbox.query_api import BudgetSpent
from mea_lib.blackbox.suspect import Suspect, SuspectError, check_images
from mea_lib.models.evaluation import in_evaluation
from mea_lib.training.features import BATCH_ELSEWHERE, BATCH_ON_CPU

PROBE_IMAGES = 8
# How images are handed over: a batch, a batch of one, one image without the dimension of batches.
TOGETHER, ALONE, BARE = WAYS = ("together", "alone", "bare")


class AdaptedSuspect(PassedOn):
    """Queries a model in memory; made by `as_suspect`.

    Args:
        model: called with images as `pixels` makes them.
        pixels: how images become its input.
        answers: how its answers are read.
        classes: names of its classes in order.
        batch_size: images in one call; None for few on a CPU and many elsewhere.

    Attributes:
        queries: sent so far.
        failures: images without an answer, by reason.
    """

    def __init__(
        self,
        model: Any,
        pixels: Pixels,
        answers: AnswerFormat,
        classes: tuple[str, ...] | None = None,
        batch_size: int | None = None,
    ) -> None:
        if batch_size is not None and batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        super().__init__(model)
        self.classes = classes
        self.queries = 0
        self._failed: Counter[str] = Counter()
        self._pixels = pixels
        self._answers = answers
        self._batch_size = batch_size
        self._way: str | None = None
        self._width = answers.number

    @property
    def are_probabilities(self) -> bool | None:
        """Whether answers are probabilities; None where nobody has said what the model's numbers are."""
        return None if self._answers.kind == "auto" else True

    @property
    def failures(self) -> Mapping[str, int]:
        """Images without an answer, by reason, as the model says where it counts them itself."""
        return super().failures or self._failed

    def describe(self) -> dict[str, Any]:
        """What the model says of itself, where it does, and the names of its classes."""
        return super().describe() | Suspect.describe(self)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Answer a query.

        Args:
            images: (N, C, H, W) uint8.

        Returns:
            (N, K) float32, on the images' device; a row of NaN is no answer, for the reason in `failures`.

        Raises:
            SuspectError: where none of the first few images gets an answer.
            TypeError, ValueError: for images of another type or shape.
        """
        check_images(images)
        rows, rest = [], images
        with in_evaluation(self.suspect):
            if self._way is None and len(images):
                rest = images[PROBE_IMAGES:]
                rows.append(self._probe(images[:PROBE_IMAGES]))
            rows += [self._answer(part) for part in rest.split(self._at_once())]
        answers = torch.cat([row.to(images.device) for row in rows if len(row)] or [self._silence(0)])
        self.queries += len(images)
        return answers.to(images.device)

    def _probe(self, images: Tensor) -> Tensor:
        """Find out how this model wants its images, by the first few."""
        first = None
        for way in WAYS:
            try:
                rows, reasons = self._ask(images, way)
            except BudgetSpent:
                raise
            except Exception as error:
                first = first or error
                if isinstance(error, SuspectError) and error.reason not in (WRONG_NUMBER, ONE_ANSWER):
                    break  # it understood the images; handed over otherwise, it could be misunderstood
                continue
            if all(reasons):
                raise reasons[0]
            self._way, self._width = way, rows.shape[1]
            self._note(reasons)
            return rows
        raise self._explained(first) from first

    def _answer(self, images: Tensor) -> Tensor:
        """Answers to a batch; one that fails is sent again in halves, down to the images that fail."""
        if not len(images):
            return self._silence(0)
        try:
            rows, reasons = self._ask(images, self._way)
            if rows.shape[1] != self._width:
                raise SuspectError(
                    f"the suspect answered with {self._width} numbers an image, and now with {rows.shape[1]}",
                    "another width",
                )
        except BudgetSpent:
            raise
        except Exception as error:
            if len(images) > 1:
                return torch.cat([self._answer(half) for half in images.chunk(2)])
            self._failed[_reason(error)] += 1
            return self._silence(1)
        self._note(reasons)
        return rows

    def _ask(self, images: Tensor, way: str) -> tuple[Tensor, list[SuspectError | None]]:
        pixels = self._pixels(images if self._device() is None else images.to(self._device()))
        if way == TOGETHER:
            return self._answers.read(self.suspect(pixels), len(images))
        parts = [self._answers.read(self.suspect(one if way == BARE else one[None]), 1) for one in pixels]
        return torch.cat([rows for rows, _ in parts]), [reason for _, (reason,) in parts]

    def _device(self) -> torch.device | None:
        if not isinstance(self.suspect, nn.Module):
            return None
        weights = next(self.suspect.parameters(), next(self.suspect.buffers(), None))
        return None if weights is None else weights.device

    def _at_once(self) -> int:
        if self._batch_size is not None:
            return self._batch_size
        device = self._device()
        return BATCH_ON_CPU if device is None or device.type == "cpu" else BATCH_ELSEWHERE

    def _silence(self, images: int) -> Tensor:
        return torch.full((images, self._width or 2), torch.nan)

    def _note(self, reasons: list[SuspectError | None]) -> None:
        self._failed.update(reason.reason for reason in reasons if reason is not None)

    def _explained(self, error: Exception) -> SuspectError:
        """The first thing that went wrong, with what may mend it."""
        if isinstance(error, SuspectError):
            return error
        sent = "uint8 from 0 to 255" if self._pixels.is_plain else "floats"
        if isinstance(error, OSError):  # a connection, not the images
            hint = "ask again when it answers"
        elif self._pixels.is_plain:
            hint = "if it takes floats, pass input_range=(0, 1)"
        else:
            hint = "check size, layout and the number of channels"
        said = " ".join(str(error).split())[:300]
        return SuspectError(
            f"the suspect cannot be asked about these images ({sent}): {type(error).__name__}: {said}; {hint}",
            _reason(error),
        )


def _reason(error: Exception) -> str:
    return error.reason if isinstance(error, SuspectError) else f"raised {type(error).__name__}"
