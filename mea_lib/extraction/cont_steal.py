"""Cont-Steal (Sha et al. 2023): the surrogate tells images apart by the victim's features of other views."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.blackbox import Suspect
from mea_lib.data import ImageSet
from mea_lib.extraction.base import EncoderExtraction, answered, check_some, covered, images_of
from mea_lib.losses import contrastive_stealing_loss
from mea_lib.losses.temperature import check_temperature
from mea_lib.models.encoder import Encoder
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Terms, TrainingSettings, ViewSettings
from mea_lib.training.views import default_views, view

VIEWED_AT_ONCE = 1_000


@dataclass(frozen=True)
class ContSteal(EncoderExtraction):
    """A surrogate whose features of a view are most like the victim's of another view of its image.

    The authors query a new view of each image in every epoch. Here `views_queried` views of each are queried
    before the training, which draws one of their answers for every step, so that the number of queries is
    known; the surrogate's own views cost nothing and are always new. Only directions of features are
    compared: the surrogate's lengths are its own.

    Attributes:
        views_queried: views of each image that are sent to the victim before the training; each is a query.
        temperature: τ of the loss, as in the released code.
        views: how different a view may be, of those sent and of those the surrogate sees; None takes
            `default_views` of the images.

    Source: Sha, He, Yu, Backes and Zhang, Can't Steal? Cont-Steal! Contrastive Stealing Attacks Against Image
    Encoders (CVPR 2023), arXiv 2201.07513. In their released code both encoders see the same view,
    made by RandAugment and a shifted crop; here views are SimCLR's.
    """

    views_queried: int = 1
    temperature: float = 0.5
    views: ViewSettings | None = None

    def __post_init__(self) -> None:
        if self.views_queried < 1:
            raise ValueError(f"views_queried must be at least 1, not {self.views_queried}")
        check_temperature(self.temperature)

    def training(self, scale: Scale) -> TrainingSettings:
        """How the surrogate is trained; the views take the place of the loop's own augmentation."""
        return scale.encoder_surrogate.but(augment=False)

    def ask(
        self, oracle: Suspect, queries: Tensor | ImageSet, scale: Scale, seed: int
    ) -> tuple[Tensor, Tensor]:
        """As `AskThenTrain.ask`, with answers (M, V, F) to V views of each image; M · V queries are sent.

        What is left of a budget and does not cover all views of one more image stays unspent. An image of which one view
        gets no answer is left out.
        """
        images = images_of(queries)
        check_some(images)
        views = self.views_to_ask(images, seed)  # (V, M, C, H, W)
        number = max(covered(oracle, *views), 1)
        queried = views[:, :number]
        answers = oracle(queried.flatten(0, 1)).unflatten(0, queried.shape[:2])  # (V, M, F)
        return answered(images[:number], answers.transpose(0, 1))

    def views_to_ask(self, images: Tensor, seed: int = 0) -> Tensor:
        """The queries: (M, C, H, W) uint8 → (V, M, C, H, W) uint8, `views_queried` views of each."""
        views = self.views or default_views(images.shape[1])
        generator = torch.Generator().manual_seed(seed)
        return torch.stack(
            [
                torch.cat(
                    [
                        view(part, views, generator).mul(255).round().to(torch.uint8)
                        for part in images.split(VIEWED_AT_ONCE)
                    ]
                )
                for _ in range(self.views_queried)
            ]
        )

    def train_surrogate(self, images: Tensor, answers: Tensor, scale: Scale, *, seed: int = 0) -> Encoder:
        """Train a surrogate on features (M, V, F) of V views of each image that are there already.

        Raises:
            ValueError: for answers of another shape.
        """
        if answers.ndim != 3:
            raise ValueError(
                f"answers to views have the shape (M, V, F), not {tuple(answers.shape)}; one answer for each image is "
                "answers[:, None]"
            )
        return super().train_surrogate(images, answers, scale, seed=seed)

    def objective(self, answers: Tensor) -> Objective:
        """The surrogate's loss on a new view of each image of a batch, against one of its answers (M, V, F)."""

        def objective(model: Encoder, batch: Batch) -> Terms:
            views = self.views or default_views(batch.images.shape[1])
            features = model(view(batch.images, views, batch.generator))  # (N, F)
            drawn = torch.randint(answers.shape[1], (len(features),), generator=batch.generator)
            wanted = answers[batch.index, drawn.to(answers.device)]  # (N, F)
            loss = contrastive_stealing_loss(features, wanted, self.temperature)
            return Terms({"contrast": loss}, features)

        return objective
