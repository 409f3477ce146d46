"""Which images are odd to a model: the local outlier factor of its last features."""

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mea_lib.models import ImageClassifier
from mea_lib.training.last_features import last_features

NEIGHBOURS = 20
FEWEST_IMAGES = 4 * NEIGHBOURS


class OutlierDetector:
    """Learns what is normal on one half of the normal images, and sets its threshold on the other half.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) logits, with `features`; it is in evaluation mode from then on.
        normal_images: (M, C, H, W) uint8, what ordinary customers query; at least 80.
        false_positives: largest share of the second half that is flagged.
        seed: of the halves.

    Attributes:
        threshold: images whose score is below are odd; −1 is as dense as the neighbours, less is sparser.

    Raises:
        ValueError: for too few normal images, or a rate below 0 or not below 1.

    Source: Breunig et al., LOF: Identifying Density-Based Local Outliers (SIGMOD 2000), by scikit-learn.
    """

    def __init__(
        self, model: ImageClassifier, normal_images: Tensor, false_positives: float = 0.025, seed: int = 0
    ) -> None:
        from sklearn.neighbors import LocalOutlierFactor  # here, since it takes a second that few need

        if len(normal_images) < FEWEST_IMAGES:
            raise ValueError(
                f"{len(normal_images)} normal images are too few to know what is odd; "
                f"pass at least {FEWEST_IMAGES}"
            )
        self._model = model.eval()
        order = torch.randperm(len(normal_images), generator=torch.Generator().manual_seed(seed))
        first, second = normal_images[order.to(normal_images.device)].chunk(2)
        self._factor = LocalOutlierFactor(n_neighbors=NEIGHBOURS, novelty=True)
        self._factor.fit(last_features(self._model, first).cpu().numpy())
        self.threshold = threshold_at(self._scores(last_features(self._model, second)), false_positives)

    def flagged(self, images: Tensor) -> Tensor:
        """Which images are odd: (N, C, H, W) uint8 → (N,) bool, on the CPU."""
        return self.flagged_features(last_features(self._model, images))

    def flagged_features(self, features: Tensor) -> Tensor:
        """Which images are odd, from their features: (N, F) → (N,) bool, on the CPU."""
        return torch.from_numpy(self._scores(features) < self.threshold)

    def _scores(self, features: Tensor) -> np.ndarray:
        """(N, F) features → (N,) opposites of their local outlier factors."""
        rows = features.detach().cpu().numpy()
        return self._factor.score_samples(rows) if len(rows) else np.empty(0)


def threshold_at(scores: ArrayLike, false_positives: float) -> float:
    """The largest of these scores that has no more than a share of them below it.

    It is one of the scores themselves, so nothing is assumed of their distribution.

    Args:
        scores: (N,) of normal images that the detector has not seen; less is odder.
        false_positives: the share of them that may be flagged, at least 0 and below 1.

    Raises:
        ValueError: for no score, or another share.
    """
    if not 0 <= false_positives < 1:
        raise ValueError(f"false_positives must be at least 0 and below 1, not {false_positives}")
    ordered = np.sort(np.asarray(scores, dtype=float))
    if not len(ordered):
        raise ValueError("there is no score to set a threshold on; pass more normal images")
    return float(ordered[int(false_positives * len(ordered))])
