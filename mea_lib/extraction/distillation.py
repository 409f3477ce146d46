"""Extraction by distillation (Hinton et al. 2015): query, keep the answers, train a surrogate on them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.extraction.base import ClassifierExtraction
from mea_lib.losses import distillation_loss
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Terms, TrainingSettings
from mea_lib.training.plain import as_plain


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
        if self.temperature <= 0:
            raise ValueError(f"the temperature must be above 0, not {self.temperature}")
        if not 0 <= self.soft_weight <= 1:
            raise ValueError(f"soft_weight must lie between 0 and 1, not {self.soft_weight}")

    def train_surrogate(
        self, images: Tensor, answers: Tensor, scale: Scale, *, seed: int = 0
    ) -> ImageClassifier:
        """As `ClassifierExtraction.train_surrogate`; attacks with these losses share the surrogates of plain distillation.

        What they have beside it decides the queries and the answers, and by these a surrogate is found. So its card
        names the distillation that trained it, and its `attack` this method with all settings.
        """
        trained_by = self
        if type(self).objective is Distillation.objective:
            trained_by = Distillation(self.temperature, self.soft_weight, self.squared)
        surrogate = ClassifierExtraction.train_surrogate(trained_by, images, answers, scale, seed=seed)
        surrogate.attack = as_plain(self)
        return surrogate

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
