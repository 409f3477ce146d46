"""A suspect that offers features only, made one that says something about classes: what every such way shares."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from mea_lib.blackbox.named_class import Suspect
from mea_lib.blackbox.passed_on import PassedOn
from mea_lib.data import ImageSet
from mea_lib.proof.plan import check_budget
from mea_lib.training.linear_probe import check_every_class


class FeatureSuspect(PassedOn, ABC):
    """An encoder's API that was queried with labelled images, and from then on answers K numbers an image.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, F) features; usually a `FeatureOracle`.
        labelled: images with their classes. All are sent at once, and each is a query.

    Raises:
        BudgetSpent: when the suspect's budget does not cover them; then no query is sent.
        ValueError: where a class has no image, and then no query is sent; for answers that are no features.
    """

    def __init__(self, suspect: Suspect, labelled: ImageSet) -> None:
        check_every_class(labelled.labels, labelled.classes)
        super().__init__(suspect)
        check_budget(
            self,
            len(labelled),
            lambda: (labelled.images,),
            f"learning the classes of {labelled.name} from {len(labelled)} labelled images",
            "label fewer images",
        )
        self._size: int | None = None
        features = self.features(labelled.images)
        lost = int(features.isnan().any(1).sum())
        if lost:
            raise ValueError(
                f"the suspect answered no finite features to {lost} of {len(labelled)} labelled images, "
                "so nothing can be learnt from them; leave these images out"
            )
        self._learn(features, labelled)

    @property
    def size(self) -> int:
        """F, the number of features."""
        return self._size

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """What the suspect answers, (N, F) float32 on the CPU; a row of NaN where a number is not finite.

        Raises:
            ValueError: for an answer of another shape.
        """
        answers = torch.as_tensor(self.suspect(images)).float().cpu()
        size = self._size or (answers.shape[1] if answers.ndim == 2 and answers.shape[1] else "F")
        if answers.shape != (len(images), size):
            raise ValueError(
                f"the suspect answered {len(images)} images with the shape {tuple(answers.shape)}; "
                f"features have the shape ({len(images)}, {size}), the same F each time"
            )
        self._size = size
        return answers.masked_fill(~answers.isfinite().all(1, keepdim=True), torch.nan)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Answer a query.

        Args:
            images: (N, C, H, W) uint8.

        Returns:
            (N, K) numbers on the images' device, of which the largest names the class; a row of NaN is no answer.

        Raises:
            BudgetSpent: as the suspect does. ValueError: for an answer of another shape.
        """
        return self._scores(self.features(images)).to(images.device)

    @abstractmethod
    def _learn(self, features: Tensor, labelled: ImageSet) -> None:
        """Make what `_scores` needs of the features (N, F) of the labelled images."""

    @abstractmethod
    def _scores(self, features: Tensor) -> Tensor:
        """(N, F) features → (N, K), the larger the likelier; NaN where there are NaN."""
