"""The query API of a model: images in, answers out, with a budget and a log."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

ANSWERS = ("soft", "hard")
BATCH_ON_CPU, BATCH_ELSEWHERE = 250, 4_000


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


class Oracle:
    """A model behind an API.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) logits.
        budget: how many images may be asked in all; None for no limit.
        answer: "soft" for probabilities, "hard" for one-hot rows of the most probable class.
        top_k: answer with the k largest probabilities only; the others are 0.
        decimals: round probabilities to so many places.
        noise: standard deviation of normal noise on every probability, which is then cut at 0 and brought to
            the sum 1 again; drawn anew for each question.
        seed: of the noise.
        batch_size: images the model sees at once; by default few on a CPU, whose cache they fit, and many
            elsewhere.

    Attributes:
        queries: images asked so far.
        log: one `Query` for each call that was answered.
    """

    def __init__(
        self,
        model: nn.Module,
        budget: int | None = None,
        *,
        answer: str = "soft",
        top_k: int | None = None,
        decimals: int | None = None,
        noise: float = 0.0,
        seed: int = 0,
        batch_size: int | None = None,
    ) -> None:
        if answer not in ANSWERS:
            raise ValueError(f"unknown kind of answer {answer!r}; choose one of: {', '.join(ANSWERS)}")
        if budget is not None and budget < 0:
            raise ValueError(f"a budget is a number of images, at least 0, not {budget}")
        if top_k is not None and top_k < 1:
            raise ValueError(f"top_k must be at least 1, not {top_k}")
        if decimals is not None and decimals < 0:
            raise ValueError(f"decimals must be at least 0, not {decimals}")
        if noise < 0:
            raise ValueError(f"noise must be at least 0, not {noise}")
        self._model = model.eval()
        self._generator = torch.Generator().manual_seed(seed)
        self.budget = budget
        self.answer = answer
        self.top_k = top_k
        self.decimals = decimals
        self.noise = noise
        self.batch_size = batch_size
        self.queries = 0
        self.log: list[Query] = []

    @property
    def remaining(self) -> int | None:
        """Images that may still be asked; None where there is no limit."""
        return None if self.budget is None else self.budget - self.queries

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Answer a query.

        Args:
            images: (N, C, H, W) uint8.

        Returns:
            (N, K) float32 probabilities, on the images' device. Rounded or cut ones need not sum to 1.

        Raises:
            BudgetSpent: when N is more than what remains; then nothing is answered and nothing spent.
            TypeError, ValueError: for images of another type or shape, or a model that answers NaN.
        """
        if not isinstance(images, Tensor) or images.dtype != torch.uint8:
            kind = images.dtype if isinstance(images, Tensor) else type(images).__name__
            raise TypeError(f"a query is a tensor of uint8 images from 0 to 255, not {kind}")
        if images.ndim != 4:
            raise ValueError(f"a query has the shape (N, C, H, W), not {tuple(images.shape)}")
        if self.remaining is not None and len(images) > self.remaining:
            raise BudgetSpent(
                f"{len(images)} images were asked, but only {self.remaining} of {self.budget} queries remain; "
                "ask fewer, or raise the budget"
            )
        weights = next(self._model.parameters(), images)
        default = BATCH_ON_CPU if weights.device.type == "cpu" else BATCH_ELSEWHERE
        parts = [self._answer(part.to(weights.device)) for part in images.split(self.batch_size or default)]
        answers = torch.cat(parts).to(images.device)
        self.log.append(Query(self.queries, len(images)))
        self.queries += len(images)
        return answers

    def _answer(self, images: Tensor) -> Tensor:
        logits = self._model(images)
        if logits.isnan().any():
            raise ValueError(
                "the model answered NaN; its training diverged, train it with a lower learning rate"
            )
        if self.answer == "hard":
            return torch.nn.functional.one_hot(logits.argmax(1), logits.shape[1]).float()
        answers = logits.float().softmax(1)
        if self.noise:
            drawn = torch.randn(answers.shape, generator=self._generator).to(answers.device)
            answers = (answers + self.noise * drawn).clamp_min(0)
            answers = answers / answers.sum(1, keepdim=True).clamp_min(1e-12)
        if self.top_k is not None and self.top_k < answers.shape[1]:
            kept = answers.topk(self.top_k, dim=1)
            answers = torch.zeros_like(answers).scatter(1, kept.indices, kept.values)
        if self.decimals is not None:
            answers = answers.round(decimals=self.decimals)
        return answers
