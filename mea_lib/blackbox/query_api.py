"""What every API of a model does, whatever it answers: check the query, charge the budget, keep a log."""

import math
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mea_lib.blackbox.suspect import Suspect, check_images
from mea_lib.blackbox.suspect_module import SuspectModule
from mea_lib.training.answering import answering
from mea_lib.training.features import BATCH_ELSEWHERE, BATCH_ON_CPU


class BudgetSpent(RuntimeError):
    """A query was refused because the budget does not cover it. Nothing was spent on it."""


@dataclass(frozen=True)
class Query:
    """One entry of the log.

    Attributes:
        first: number of the first image of this query, counted from 0.
        images: how many images it had.
    """

    first: int
    images: int


class QueryAPI(Suspect):
    """A model behind an API: images in, one row of numbers for each out.

    Args:
        model: takes (N, C, H, W) uint8 images; or a suspect, whose answers are these.
        budget: how many queries may be sent in all; None for no limit.
        decimals: round answers to so many places.
        noise: standard deviation of normal noise on every number, drawn anew for each query.
        seed: of the noise.

    Attributes:
        queries: sent so far.
        log: one `Query` for each call that was answered.
        batch_size: images the model sees at once; None for few on a CPU, whose cache they fit, and many elsewhere.
    """

    batch_size: int | None = None

    def __init__(
        self,
        model: nn.Module,
        budget: int | None = None,
        *,
        decimals: int | None = None,
        noise: float = 0.0,
        seed: int = 0,
    ) -> None:
        if budget is not None and budget < 0:
            raise ValueError(f"a budget is a number of images, at least 0, not {budget}")
        if decimals is not None and decimals < 0:
            raise ValueError(f"decimals must be at least 0, not {decimals}")
        if not 0 <= noise < math.inf:  # which NaN is not either
            raise ValueError(f"noise must be a number, at least 0, not {noise}")
        self._model = _module_of(model)
        self._generator = torch.Generator().manual_seed(seed)
        self.budget = budget
        self.decimals = decimals
        self.noise = noise
        self.queries = 0
        self.log: list[Query] = []

    @property
    def remaining(self) -> int | None:
        """Queries that are left of the budget; None where there is no limit."""
        return None if self.budget is None else self.budget - self.queries

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Answer a query.

        Args:
            images: (N, C, H, W) uint8.

        Returns:
            one row of float32 numbers for each image, on the images' device; a row of NaN is no answer, of a suspect
            that gives none (`SuspectModule`).

        Raises:
            BudgetSpent: when N is more than what remains; then nothing is answered and nothing spent.
            TypeError, ValueError: for images of another type or shape, or a model that answers NaN.
        """
        check_images(images)
        if self.remaining is not None and len(images) > self.remaining:
            raise BudgetSpent(
                f"{len(images)} images were asked, but only {self.remaining} of {self.budget} queries remain; "
                "ask fewer, or raise the budget"
            )
        weights = next(self._model.parameters(), images)
        default = BATCH_ON_CPU if weights.device.type == "cpu" else BATCH_ELSEWHERE
        model = answering(self._model, len(images))
        parts = [
            self._answer_checked(model, part.to(weights.device))
            for part in images.split(self.batch_size or default)
        ]
        answers = torch.cat(parts).to(images.device)
        self.log.append(Query(self.queries, len(images)))
        self.queries += len(images)
        return answers

    @abstractmethod
    def _answer(self, outputs: Tensor) -> Tensor:
        """What is said when the model's outputs are these (N, K); neither holds NaN."""

    def _answer_checked(self, model: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        outputs = model(images)
        if not outputs.isnan().any():
            return self._answer(outputs)
        if not isinstance(self._model, SuspectModule):
            raise ValueError(
                "the model answered NaN; its training diverged, train it with a lower learning rate"
            )
        silent = outputs.isnan().any(1)
        answers = self._answer(outputs.masked_fill(silent[:, None], 0.0))
        return answers.masked_fill(silent[:, None], torch.nan)

    def _drawn_noise(self, answers: Tensor) -> Tensor:
        """Normal noise (N, K) of the API's deviation, from a CPU generator on every device."""
        return self.noise * torch.randn(answers.shape, generator=self._generator).to(answers.device)


def _module_of(model: nn.Module | Suspect) -> nn.Module:
    """What is queried, as a module in evaluation mode; a suspect keeps what it does to images and answers."""
    if isinstance(model, Suspect):
        return SuspectModule(model).eval()
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"an API needs a model, a torch.nn.Module, or a suspect, not a {type(model).__name__}; of a function "
            "as_suspect(function) makes one"
        )
    return model.eval()
