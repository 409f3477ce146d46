"""The suspect's counter-move: notice queries that are no ordinary images, and answer those at random."""

import torch
from torch import Tensor, nn

from mea_lib.defences.marked_labels import image_number
from mea_lib.defences.outlier_detector import OutlierDetector
from mea_lib.models import ImageClassifier


class AnomalyFilter(nn.Module):
    """A model that gives images it finds odd the answer of another class.

    Odd is what an `OutlierDetector` flags. An odd image's logits are turned by a number of classes that its
    bytes and the seed decide, so that each other class is as likely, and the same query again tells nothing
    more. All else is answered truthfully. It is a model itself: `Oracle(AnomalyFilter(…), decimals=2)`.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) logits, with `features`.
        normal_images: (M, C, H, W) uint8, what ordinary customers query; at least 80.
        false_positives: largest share of those held out that is flagged.
        seed: of the halves they are divided into, and of the random answers.

    Attributes:
        threshold: images whose score is below are odd; −1 is as dense as the neighbours, less is sparser.

    Raises:
        ValueError: for too few normal images, or a rate below 0 or not below 1.

    Source: Hitaj, Gasparini and Mancini, Evasion Attacks Against Watermarking Techniques found in MLaaS Systems
    (SDS 2019), with a detector trained on watermarks.
    """

    def __init__(
        self, model: ImageClassifier, normal_images: Tensor, false_positives: float = 0.025, seed: int = 0
    ) -> None:
        super().__init__()
        self.model = model.eval()
        self.seed = seed
        self._detector = OutlierDetector(model, normal_images, false_positives, seed)
        self.threshold = self._detector.threshold

    def flagged(self, images: Tensor) -> Tensor:
        """Which images are odd: (N, C, H, W) uint8 → (N,) bool, on the CPU."""
        return self._detector.flagged(images)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 images → (N, K) logits, those of odd images turned."""
        features = self.model.features(images)  # (N, F)
        logits = self.model.logits(features)
        classes = logits.shape[1]
        if classes < 2:
            raise ValueError("an odd image gets the answer of another class; the model needs two or more")
        turns = torch.zeros(len(images), 1, dtype=torch.long)
        for number in self._detector.flagged_features(features).nonzero().flatten().tolist():
            turns[number] = 1 + image_number(images[number], self.seed) % (classes - 1)
        origin = (torch.arange(classes) - turns) % classes  # (N, K)
        return logits.gather(1, origin.to(logits.device))
