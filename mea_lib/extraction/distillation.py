"""Extraction by distillation (Hinton et al. 2015): query, keep the answers, train a surrogate on them."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from mea_lib.blackbox import Oracle
from mea_lib.data import ImageSet
from mea_lib.extraction.answers_digest import answers_digest
from mea_lib.losses import distillation_loss
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Store, Terms, TrainingSettings, adversary_settings, fit


@dataclass(frozen=True)
class DistillationSettings:
    """The adversary's choices.

    Attributes:
        temperature: softens the answers and the surrogate's outputs; the loss is multiplied by its square.
        soft_weight: weight of that term; the rest is cross-entropy to the most probable class.
        squared: multiply by the squared temperature, as Hinton et al. do; the released code does not.
    """

    temperature: float = 4.0
    soft_weight: float = 1.0
    squared: bool = True

    def __post_init__(self) -> None:
        if self.temperature <= 0:
            raise ValueError(f"the temperature must be above 0, not {self.temperature}")
        if not 0 <= self.soft_weight <= 1:
            raise ValueError(f"soft_weight must lie between 0 and 1, not {self.soft_weight}")


# The attack of the authors' released model_distillation.py.
RELEASED = DistillationSettings(temperature=7.0, squared=False)
RELEASED_TRAINING = TrainingSettings(
    epochs=100, batch_size=128, learning_rate=1e-3, weight_decay=0.0, optimizer="adam", schedule="constant"
)


def extract(
    oracle: Oracle,
    queries: Tensor,
    scale: Scale,
    *,
    settings: DistillationSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Train a surrogate on the oracle's answers to `queries`.

    Every image is one query; a surrogate that augments sees it mirrored and shifted, always with the answer
    to the original. The answers decide which stored surrogate is found, so the queries are sent (and counted)
    again each time.

    Args:
        oracle: the victim's API; answers with soft labels (N, K).
        queries: (M, C, H, W) uint8, the adversary's own images.
        scale: gives the adversary's training, network and width where they are not named.
        settings: temperature and weights; `RELEASED` holds the authors'.
        training: how the surrogate is trained.
        network: of the surrogate, which need not be the victim's.
        width: channels of its first layer.
        seed: of the surrogate's weights and of the order of images.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The surrogate, in evaluation mode.

    Raises:
        BudgetSpent: when the oracle's budget does not cover the queries.

    Source: Hinton, Vinyals and Dean (2015); MEA-Defender (S&P 2024), Sec. V-B.
    """
    return train_student(
        queries,
        oracle(queries),
        scale,
        settings=settings,
        training=training,
        network=network,
        width=width,
        seed=seed,
        after_epoch=after_epoch,
        store=store,
    )


def train_student(
    queries: Tensor,
    answers: Tensor,
    scale: Scale,
    *,
    settings: DistillationSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    after_epoch: Callable[[ImageClassifier, int], dict] | None = None,
    store: Store | None = None,
) -> ImageClassifier:
    """Train a surrogate on answers that are there already: the last step of every extraction.

    Args:
        queries: (M, C, H, W) uint8.
        answers: (M, K) what the victim answered to them.
        scale, settings, training, network, width, seed, after_epoch, store: as `extract`.

    Returns:
        The surrogate, in evaluation mode.
    """
    settings = settings or DistillationSettings()
    training = (training or adversary_settings(scale)).but(seed=seed)
    names = tuple(map(str, range(answers.shape[1])))
    thief_data = ImageSet(queries, answers.argmax(1).to(queries.device), names, "queries")
    return fit(
        thief_data,
        lambda data: distillation_objective(answers.to(data.images.device), settings),
        training,
        scale=scale,
        recipe={
            "method": "distillation",
            "module": __name__,
            "distillation": asdict(settings),
            "answers": answers_digest(answers),
        },
        network=network,
        width=width,
        after_epoch=after_epoch,
        store=store,
    )


def distillation_objective(answers: Tensor, settings: DistillationSettings) -> Objective:
    """The surrogate's losses on a batch, given the victim's answers (M, K) to all queries."""
    hard = answers.argmax(1)  # (M,)
    factor = 1.0 if settings.squared else settings.temperature**-2

    def objective(model: ImageClassifier, batch: Batch) -> Terms:
        logits = model(batch.images)  # (N, K)
        losses = {}
        if settings.soft_weight > 0:
            soft = distillation_loss(logits, answers[batch.index], settings.temperature)
            losses["soft"] = settings.soft_weight * factor * soft
        if settings.soft_weight < 1:
            cross_entropy = torch.nn.functional.cross_entropy(logits, hard[batch.index])
            losses["hard"] = (1 - settings.soft_weight) * cross_entropy
        return Terms(losses)

    return objective
