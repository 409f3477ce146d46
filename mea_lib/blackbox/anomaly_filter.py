"""The suspect's counter-move: notice questions that are no ordinary images, and answer those at random."""

import numpy as np
import torch
from sklearn.neighbors import LocalOutlierFactor
from torch import Tensor, nn

from mea_lib.blackbox.image_number import image_number
from mea_lib.models import ImageClassifier

NEIGHBOURS = 20
FEWEST_IMAGES = 4 * NEIGHBOURS
BATCH = 1_000


class AnomalyFilter(nn.Module):
    """A model that gives images it finds odd the answer of another class.

    The local outlier factor of an image's last features is learnt on one half of the normal images, and the
    threshold is set on the other half. An odd image's logits are turned by a number of classes that its bytes and
    the seed decide, so that each other class is as likely, and asking the same image again tells nothing more. All
    else is answered truthfully. It is a model itself: `Oracle(AnomalyFilter(…), decimals=2)`.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) logits, with `features`.
        normal_images: (M, C, H, W) uint8, what honest customers ask; at least 80.
        false_positives: largest share of the second half that is flagged.
        seed: of the halves and of the random answers.

    Attributes:
        threshold: images whose score is below are odd; −1 is as dense as the neighbours, less is sparser.

    Raises:
        ValueError: for too few normal images, or a rate below 0 or not below 1.

    Source: Hitaj, Gasparini and Mancini, Evasion Attacks Against Watermarking Techniques found in MLaaS Systems
    (SDS 2019), with a detector trained on watermarks; Breunig et al., LOF (SIGMOD 2000).
    """

    def __init__(
        self, model: ImageClassifier, normal_images: Tensor, false_positives: float = 0.025, seed: int = 0
    ) -> None:
        super().__init__()
        if len(normal_images) < FEWEST_IMAGES:
            raise ValueError(
                f"{len(normal_images)} normal images are too few to know what is odd; "
                f"pass at least {FEWEST_IMAGES}"
            )
        if not 0 <= false_positives < 1:
            raise ValueError(f"false_positives must be at least 0 and below 1, not {false_positives}")
        self.model = model.eval()
        self.seed = seed
        order = torch.randperm(len(normal_images), generator=torch.Generator().manual_seed(seed))
        first, second = normal_images[order.to(normal_images.device)].chunk(2)
        self._detector = LocalOutlierFactor(n_neighbors=NEIGHBOURS, novelty=True)
        self._detector.fit(self._features(first).cpu().numpy())
        scores = np.sort(self._scores(self._features(second)))
        # Fewer lie below the score of this rank than the rate allows, or as many.
        self.threshold = float(scores[int(false_positives * len(scores))])

    def flagged(self, images: Tensor) -> Tensor:
        """Which images are odd: (N, C, H, W) uint8 → (N,) bool, on the CPU."""
        return torch.from_numpy(self._scores(self._features(images)) < self.threshold)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 images → (N, K) logits, those of odd images turned."""
        features = self.model.features(images)  # (N, F)
        logits = self.model.logits(features)
        classes = logits.shape[1]
        turns = torch.zeros(len(images), 1, dtype=torch.long)
        for number in np.flatnonzero(self._scores(features) < self.threshold):
            turns[number] = 1 + image_number(images[number], self.seed) % (classes - 1)
        origin = (torch.arange(classes) - turns) % classes  # (N, K)
        return logits.gather(1, origin.to(logits.device))

    def _scores(self, features: Tensor) -> np.ndarray:
        """(N, F) features → (N,) opposites of their local outlier factors."""
        rows = features.detach().cpu().numpy()
        return self._detector.score_samples(rows) if len(rows) else np.empty(0)

    @torch.no_grad()
    def _features(self, images: Tensor) -> Tensor:
        device = next(self.model.parameters()).device
        return torch.cat([self.model.features(part.to(device)) for part in images.split(BATCH)])
