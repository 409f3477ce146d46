"""Extraction by distillation (Hinton et al. 2015): query, keep the answers, train a surrogate on them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.extraction.base import ClassifierExtraction
from mea_lib.losses import distillation_loss
from mea_lib.losses.temperature import check_temperature
from mea_lib.models import ImageClassifier
from mea_lib.training import Batch, Objective, Terms, TrainingSettings


@dataclass(frozen=True)
class Distillation(ClassifierExtraction):
    """Distillation of soft labels; every attack that ends with it has its fields too.

    A surrogate that augments sees each image mirrored and shifted, always with the answer to the original.

    Attributes:
        temperature: softens the answers and the surrogate's outputs; the loss is multiplied by its square.
        soft_weight: weight of that term; the rest is cross-entropy to the most probable class.
        squared: multiply by the squared temperature, as Hinton et al. do; the released code does not.

    Source: Hinton, Vinyals and Dean (2015); MEA-Defender (S&P 2024), Sec. V-B.
    """

    temperature: float = 4.0
    soft_weight: float = 1.0
    squared: bool = True

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        if not 0 <= self.soft_weight <= 1:
            raise ValueError(f"soft_weight must lie between 0 and 1, not {self.soft_weight}")

    def trained_by(self) -> ClassifierExtraction:
        """Plain distillation, also for attacks that have its losses and differ in their queries alone."""
        if type(self).objective is not Distillation.objective:
            return self
        return Distillation(self.temperature, self.soft_weight, self.squared)

    def objective(self, answers: Tensor) -> Objective:
        """The surrogate's losses on a batch, given the victim's answers (M, K) to all queries."""
        hard = answers.argmax(1)  # (M,)
        factor = 1.0 if self.squared else self.temperature**-2

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            logits = model(batch.images)  # (N, K)
            losses = {}
            if self.soft_weight > 0:
                soft = distillation_loss(logits, answers[batch.index], self.temperature)
                losses["soft"] = self.soft_weight * factor * soft
            if self.soft_weight < 1:
                cross_entropy = torch.nn.functional.cross_entropy(logits, hard[batch.index])
                losses["hard"] = (1 - self.soft_weight) * cross_entropy
            return Terms(losses)

        return objective


# The attack of the authors' released model_distillation.py: `RELEASED.extract(…, scale.but(adversary=RELEASED_TRAINING))`.
RELEASED = Distillation(temperature=7.0, squared=False)
RELEASED_TRAINING = TrainingSettings(
    epochs=100, batch_size=128, learning_rate=1e-3, weight_decay=0.0, optimizer="adam", schedule="constant"
)
