"""Extraction of an encoder by distillation: query, keep the features, train a surrogate to have the same."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from torch import Tensor

from mea_lib.blackbox import FeatureOracle
from mea_lib.extraction.encoder_student import fit_student, student_training
from mea_lib.losses import feature_distance
from mea_lib.losses.feature_distance import check_distance
from mea_lib.models.encoder import Encoder
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Store, Terms, TrainingSettings

SMALLEST_DEVIATION = (
    0.01  # of the largest one: a feature that is almost never there must not outweigh all others
)


@dataclass(frozen=True)
class FeatureDistillationSettings:
    """The adversary's choices.

    Attributes:
        distance: between the surrogate's features and the answer, one of `mea_lib.losses.feature_distance`'s.
        standardise: divide each feature, in answers and outputs, by its standard deviation over the answers, so
            that weak features count as much as strong ones. The literature takes them as they are.
    """

    distance: str = "mse"
    standardise: bool = False

    def __post_init__(self) -> None:
        check_distance(self.distance)


def extract(
    oracle: FeatureOracle,
    queries: Tensor,
    scale: Scale,
    *,
    settings: FeatureDistillationSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    after_epoch: Callable[[Encoder, int], dict] | None = None,
    store: Store | None = None,
) -> Encoder:
    """Train a surrogate on the features that the oracle answers to `queries`.

    Every image is one query; the surrogate sees it mirrored and shifted, always with the features of the
    original. The answers decide which stored surrogate is found, so the queries are sent (and counted) again
    each time.

    Args:
        oracle: the victim's API; answers with features (N, F).
        queries: (M, C, H, W) uint8, the adversary's own images.
        scale: gives the adversary's training, network and width where they are not named.
        settings: the distance that is made small.
        training: how the surrogate is trained; by default `student_training`.
        network: of the surrogate, which need not be the victim's; it has F features in any case.
        width: channels of its first layer.
        seed: of the surrogate's weights and of the order of images.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The surrogate, in evaluation mode.

    Raises:
        BudgetSpent: when the oracle's budget does not cover the queries; then no query is sent.

    Source: Hinton, Vinyals and Dean (2015), with features in the place of soft labels, as the "conventional
    attack" of Sha et al., Cont-Steal (CVPR 2023), and of Liu et al., StolenEncoder (CCS 2022), to compare
    with.
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
    settings: FeatureDistillationSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    after_epoch: Callable[[Encoder, int], dict] | None = None,
    store: Store | None = None,
) -> Encoder:
    """Train a surrogate on features that are there already.

    Args:
        queries: (M, C, H, W) uint8.
        answers: (M, F) what the victim answered to them.
        scale, settings, training, network, width, seed, after_epoch, store: as `extract`.

    Returns:
        The surrogate, in evaluation mode.
    """
    settings = settings or FeatureDistillationSettings()
    return fit_student(
        queries,
        answers,
        lambda found: distillation_objective(found, settings),
        (training or student_training(scale)).but(seed=seed),
        scale=scale,
        recipe={"method": "feature-distillation", "module": __name__, "distillation": asdict(settings)},
        network=network,
        width=width,
        after_epoch=after_epoch,
        store=store,
    )


def distillation_objective(answers: Tensor, settings: FeatureDistillationSettings) -> Objective:
    """The surrogate's loss on a batch, given the victim's features (M, F) of all queries."""
    if settings.standardise:
        deviations = answers.std(0, correction=0)  # (F,)
        divisors = deviations.clamp_min(SMALLEST_DEVIATION * deviations.max()).clamp_min(1e-12)
    else:
        divisors = answers.new_ones(())

    def objective(model: Encoder, batch: Batch) -> Terms:
        features = model(batch.images)  # (N, F)
        own, wanted = features / divisors, answers[batch.index] / divisors
        return Terms({"distance": feature_distance(own, wanted, settings.distance)}, features)

    return objective
