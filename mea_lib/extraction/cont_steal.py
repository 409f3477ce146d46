"""Cont-Steal (Sha et al. 2023): the surrogate tells images apart by the victim's features of other views."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from torch import Tensor

from mea_lib.blackbox import FeatureOracle
from mea_lib.extraction.encoder_student import fit_student, student_training
from mea_lib.losses import contrastive_stealing_loss
from mea_lib.models.encoder import Encoder
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Store, Terms, TrainingSettings, ViewSettings
from mea_lib.training.views import default_views, view

VIEWED_AT_ONCE = 1_000


@dataclass(frozen=True)
class ContStealSettings:
    """The adversary's choices.

    Attributes:
        views_asked: views of each image that are sent to the victim before the training; each is a query.
        temperature: τ of the loss, as in the released code.
        views: how different a view may be, of those sent and of those the surrogate sees; None takes
            `default_views` of the images.
    """

    views_asked: int = 1
    temperature: float = 0.5
    views: ViewSettings | None = None

    def __post_init__(self) -> None:
        if self.views_asked < 1:
            raise ValueError(f"views_asked must be at least 1, not {self.views_asked}")
        if self.temperature <= 0:
            raise ValueError(f"the temperature must be above 0, not {self.temperature}")


def extract(
    oracle: FeatureOracle,
    queries: Tensor,
    scale: Scale,
    *,
    settings: ContStealSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    after_epoch: Callable[[Encoder, int], dict] | None = None,
    store: Store | None = None,
) -> Encoder:
    """Train a surrogate whose features of a view are most like the oracle's of another view of its image.

    The authors query a new view of each image in every epoch. Here `views_asked` views of each are queried
    before the training, which draws one of their answers for every step, so that the number of queries is
    known; the surrogate's own views cost nothing and are always new. Only directions of features are
    compared: the surrogate's lengths are its own. The answers decide which stored surrogate is found, so the
    queries are sent (and counted) again each time.

    Args:
        oracle: the victim's API; answers with features (N, F).
        queries: (M, C, H, W) uint8, the adversary's own images; M · `views_asked` queries are sent.
        scale: gives the adversary's training, network and width where they are not named.
        settings: how many views are queried, the temperature, the kind of views.
        training: how the surrogate is trained; by default `student_training` without the loop's own
            augmentation.
        network: of the surrogate, which need not be the victim's; it has F features in any case.
        width: channels of its first layer.
        seed: of all views, of the surrogate's weights and of the order of images.
        after_epoch: measures to keep in the history.
        store: where finished models are kept.

    Returns:
        The surrogate, in evaluation mode.

    Raises:
        BudgetSpent: when the oracle's budget does not cover all views; then no query is sent.

    Source: Sha, He, Yu, Backes and Zhang, Can't Steal? Cont-Steal! Contrastive Stealing Attacks Against Image
    Encoders (CVPR 2023), arXiv 2201.07513. In their released code both encoders see the same view,
    made by RandAugment and a shifted crop; here views are SimCLR's.
    """
    settings = settings or ContStealSettings()
    asked = views_to_ask(queries, settings, seed)  # (V, M, C, H, W)
    answers = oracle(asked.flatten(0, 1)).unflatten(0, asked.shape[:2])  # (V, M, F)
    return train_student(
        queries,
        answers.transpose(0, 1),
        scale,
        settings=settings,
        training=training,
        network=network,
        width=width,
        seed=seed,
        after_epoch=after_epoch,
        store=store,
    )


def views_to_ask(queries: Tensor, settings: ContStealSettings, seed: int = 0) -> Tensor:
    """The queries: (M, C, H, W) uint8 → (V, M, C, H, W) uint8, `views_asked` views of each."""
    views = settings.views or default_views(queries.shape[1])
    generator = torch.Generator().manual_seed(seed)
    return torch.stack(
        [
            torch.cat(
                [
                    view(part, views, generator).mul(255).round().to(torch.uint8)
                    for part in queries.split(VIEWED_AT_ONCE)
                ]
            )
            for _ in range(settings.views_asked)
        ]
    )


def train_student(
    queries: Tensor,
    answers: Tensor,
    scale: Scale,
    *,
    settings: ContStealSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    after_epoch: Callable[[Encoder, int], dict] | None = None,
    store: Store | None = None,
) -> Encoder:
    """Train a surrogate on features of views that are there already.

    Args:
        queries: (M, C, H, W) uint8.
        answers: (M, V, F) what the victim answered to V views of each.
        scale, settings, training, network, width, seed, after_epoch, store: as `extract`.

    Returns:
        The surrogate, in evaluation mode.

    Raises:
        ValueError: for answers of another shape.
    """
    if answers.ndim != 3:
        raise ValueError(
            f"answers to views have the shape (M, V, F), not {tuple(answers.shape)}; one answer for each image is "
            "answers[:, None]"
        )
    settings = settings or ContStealSettings()
    views = settings.views or default_views(queries.shape[1])
    return fit_student(
        queries,
        answers,
        lambda found: cont_steal_objective(found, views, settings.temperature),
        (training or student_training(scale).but(augment=False)).but(seed=seed),
        scale=scale,
        recipe={
            "method": "cont-steal",
            "module": __name__,
            "cont_steal": asdict(settings) | {"views": views.to_dict()},
        },
        network=network,
        width=width,
        after_epoch=after_epoch,
        store=store,
    )


def cont_steal_objective(answers: Tensor, views: ViewSettings, temperature: float) -> Objective:
    """The surrogate's loss on a new view of each image of a batch, against one of its answers (M, V, F)."""

    def objective(model: Encoder, batch: Batch) -> Terms:
        features = model(view(batch.images, views, batch.generator))  # (N, F)
        drawn = torch.randint(answers.shape[1], (len(features),), generator=batch.generator)
        wanted = answers[batch.index, drawn.to(answers.device)]  # (N, F)
        return Terms({"contrast": contrastive_stealing_loss(features, wanted, temperature)}, features)

    return objective
