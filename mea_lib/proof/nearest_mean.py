"""A suspect that offers features only, seen through the owner's class means: nobody trains anything."""

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.proof.feature_suspect import FeatureSuspect
from mea_lib.training.linear_probe import CONSTANT


class NearestMean(FeatureSuspect):
    """A feature API that answers with the cosine, (N, K), between an image's features and the mean of each class.

    Features are centred and divided by their standard deviation first, both taken over the reference images. An
    image of which nothing is known, since no feature varies over them, is as near to every class.

    It is a suspect like any other: `false_watermark_rates` on clean encoders says how often mixes lie nearest
    to one third class though nobody embedded a watermark.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, F) features; usually a `FeatureOracle`.
        labelled: the reference images with their classes. All are sent at once, and each is a query.

    Attributes:
        means: (K, F) directions of the class means, of length 1.
        size: F, the number of features.

    Raises:
        BudgetSpent: when the suspect's budget does not cover the reference images; then no query is sent.
        ValueError: where a class has no image, and then no query is sent; for answers that are no features.
    """

    def _learn(self, features: Tensor, labelled: ImageSet) -> None:
        features, labels = features.double(), labelled.labels.cpu()
        self._centre = features.mean(0)
        deviation = features.std(0, correction=0)
        varies = deviation > CONSTANT * features.abs().amax(0)
        self._factor = torch.where(varies, 1 / deviation, 0.0)
        known = self._standardised(features)
        self.means = F.normalize(
            torch.stack([known[labels == label].mean(0) for label in range(len(labelled.classes))])
        )

    def _scores(self, features: Tensor) -> Tensor:
        return (F.normalize(self._standardised(features.double())) @ self.means.T).float()

    def _standardised(self, features: Tensor) -> Tensor:
        return (features - self._centre) * self._factor
