"""Extraction from cleaned answers: the watermark travels in small probabilities, which are changed."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.blackbox import Suspect
from mea_lib.data import ImageSet
from mea_lib.extraction.distillation import Distillation
from mea_lib.losses.temperature import check_temperature
from mea_lib.scale import Scale


@dataclass(frozen=True)
class CleanAnswers(Distillation):
    """Distillation of answers to which something is done first, in this order; by default nothing.

    Attributes:
        temperature, soft_weight, squared: as `Distillation`, at temperature 1, since a probability of 0 has no
            logarithm.
        suspected: numbers of two suspected source classes and of their target. Where an answer names one of the
            sources, the target and the other source get the median of what the remaining classes have there.
        answer_temperature: below 1 sharpens, p^(1/T), normalised again; above 1 softens.
        top_k: only the k largest probabilities are kept, normalised again; 1 leaves hard labels. None keeps
            all.
    """

    temperature: float = 1.0
    suspected: tuple[int, int, int] | None = None
    answer_temperature: float = 1.0
    top_k: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.suspected is not None and len(set(self.suspected)) != 3:
            raise ValueError(
                f"suspected must be three different classes, two sources and a target, not {self.suspected}"
            )
        check_temperature(self.answer_temperature, "answer_temperature")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, not {self.top_k}")

    def ask(
        self, oracle: Suspect, queries: Tensor | ImageSet, scale: Scale, seed: int
    ) -> tuple[Tensor, Tensor]:
        """As `AskThenTrain.ask`, and the answers cleaned."""
        images, answers = super().ask(oracle, queries, scale, seed)
        return images, self.clean(answers)

    def clean(self, answers: Tensor) -> Tensor:
        """The answers (M, K) as the adversary uses them: forgotten, sharpened, cut, each row with the sum 1.

        A row of zeros, all that an API may leave of an unsure answer when it rounds, names no class: all get the same.

        Raises:
            ValueError: for a suspected class that the answers do not have.
        """
        cleaned = answers.cpu().double()  # not every device has float64
        if self.suspected is not None:
            cleaned = _without_runner_up(cleaned, self.suspected)
        if self.answer_temperature != 1:
            cleaned = _sharpened(cleaned, 1 / self.answer_temperature)
        if self.top_k is not None and self.top_k < cleaned.shape[1]:
            kept = cleaned.topk(self.top_k, dim=1)
            cleaned = torch.zeros_like(cleaned).scatter(1, kept.indices, kept.values)
        total = cleaned.sum(1, keepdim=True)
        return torch.where(total == 0, 1 / cleaned.shape[1], cleaned / total).to(answers)


def _sharpened(answers: Tensor, power: float) -> Tensor:
    """Each probability of (M, K) to this power; of rows where none of it would be left, relative to the largest."""
    sharpened = answers**power
    lost = (sharpened == 0).all(1)
    rows = answers[lost]
    sharpened[lost] = (rows / rows.amax(1, keepdim=True).clamp_min(1e-300)) ** power
    return sharpened


def _without_runner_up(answers: Tensor, suspected: tuple[int, int, int]) -> Tensor:
    """Where a suspected source is named, target and other source look like any class that has nothing to do with it."""
    *sources, target = suspected
    classes = answers.shape[1]
    if not 0 <= min(suspected) <= max(suspected) < classes or classes < 4:
        raise ValueError(
            f"the classes {suspected} cannot be cleaned in answers of {classes} classes; their numbers lie between "
            f"0 and {classes - 1}, and at least one class must remain beside the three"
        )
    cleaned, named = answers.clone(), answers.argmax(1)
    others = [number for number in range(classes) if number not in suspected]
    usual = answers[:, others].median(1).values  # (M,)
    for source, other in (sources, sources[::-1]):
        rows = (named == source).nonzero()[:, 0]
        for number in (target, other):
            cleaned[rows, number] = usual[rows]
    return cleaned
