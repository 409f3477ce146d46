"""Extraction from cleaned answers: the watermark travels in small probabilities, which are changed."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from mea_lib.blackbox import Oracle
from mea_lib.extraction.distillation import DistillationSettings, train_student
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Store, TrainingSettings


@dataclass(frozen=True)
class CleanAnswersSettings:
    """What is done to the answers before a surrogate is trained, in this order; by default nothing.

    Attributes:
        suspected: numbers of two suspected source classes and of their target. Where an answer names one of the
            sources, the target and the other source get the median of what the remaining classes have there.
        temperature: below 1 sharpens, p^(1/T), normalised again; above 1 softens.
        top_k: only the k largest probabilities are kept, normalised again; 1 leaves hard labels. None keeps
            all.
        distillation: how the surrogate is trained; at temperature 1, since a probability of 0 has no
            logarithm.
    """

    suspected: tuple[int, int, int] | None = None
    temperature: float = 1.0
    top_k: int | None = None
    distillation: DistillationSettings = field(default_factory=lambda: DistillationSettings(temperature=1.0))

    def __post_init__(self) -> None:
        if self.suspected is not None and len(set(self.suspected)) != 3:
            raise ValueError(
                f"suspected must be three different classes, two sources and a target, not {self.suspected}"
            )
        if self.temperature <= 0:
            raise ValueError(f"the temperature must be above 0, not {self.temperature}")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, not {self.top_k}")


def extract(
    oracle: Oracle,
    queries: Tensor,
    scale: Scale,
    *,
    settings: CleanAnswersSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    store: Store | None = None,
) -> ImageClassifier:
    """Query as `distillation` does, clean the answers, and train a surrogate on what is left.

    Args:
        oracle: the victim's API; answers with soft labels (N, K).
        queries: (M, C, H, W) uint8, the adversary's own images.
        scale: gives the adversary's training, network and width where they are not named.
        settings: how the answers are cleaned, and how the surrogate is trained.
        training: how the surrogate is trained.
        network: of the surrogate.
        width: channels of its first layer.
        seed: of the surrogate's weights and of the order of images.
        store: where finished models are kept.

    Returns:
        The surrogate, in evaluation mode.

    Raises:
        BudgetSpent: when the oracle's budget does not cover the queries.
        ValueError: for a suspected class that the answers do not have.
    """
    settings = settings or CleanAnswersSettings()
    return train_student(
        queries,
        cleaned(oracle(queries), settings),
        scale,
        settings=settings.distillation,
        training=training,
        network=network,
        width=width,
        seed=seed,
        store=store,
    )


def cleaned(answers: Tensor, settings: CleanAnswersSettings) -> Tensor:
    """The answers (M, K) as the adversary uses them: forgotten, sharpened, cut, each row with the sum 1."""
    found = answers.double()
    if settings.suspected is not None:
        found = _without_runner_up(found, settings.suspected)
    if settings.temperature != 1:
        found = found ** (1 / settings.temperature)
    if settings.top_k is not None and settings.top_k < found.shape[1]:
        kept = found.topk(settings.top_k, dim=1)
        found = torch.zeros_like(found).scatter(1, kept.indices, kept.values)
    return (found / found.sum(1, keepdim=True)).to(answers.dtype)


def _without_runner_up(answers: Tensor, suspected: tuple[int, int, int]) -> Tensor:
    """Where a suspected source is named, target and other source look like any class that has nothing to do with it."""
    *sources, target = suspected
    classes = answers.shape[1]
    if not 0 <= min(suspected) <= max(suspected) < classes or classes < 4:
        raise ValueError(
            f"the classes {suspected} cannot be cleaned in answers of {classes} classes; their numbers lie between "
            f"0 and {classes - 1}, and at least one class must remain beside the three"
        )
    found, named = answers.clone(), answers.argmax(1)
    others = [number for number in range(classes) if number not in suspected]
    usual = answers[:, others].median(1).values  # (M,)
    for source, other in (sources, sources[::-1]):
        rows = (named == source).nonzero()[:, 0]
        for number in (target, other):
            found[rows, number] = usual[rows]
    return found
