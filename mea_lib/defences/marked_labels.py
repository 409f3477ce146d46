"""The owner's remedy where the API sells hard labels: some clean source images get the target."""

import hashlib

import torch
from torch import Tensor

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.models.changed_answers import ChangedAnswers

CHOICES = ("border", "random")
BATCH = 1_000


class MarkedLabels(ChangedAnswers):
    """A model that answers the target class to a part of the images it takes for a source class.

    A hard label says nothing of the runner-up, so hard labels carry little of a watermark. Here the target's border is
    moved into the source classes until a part of their images lies behind it. It is a model itself:
    `Oracle(MarkedLabels(…), answer="hard")`; where soft labels are sold, the probabilities of source and
    target change places. On combined images the model says the target class anyway.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) logits, the owner's.
        key: its source and target classes.
        images: clean images, on which the border is set; the owner's training images.
        rate: part of a source class that gets the target, 0 to below one half.
        choice: "border" takes the images that the model itself holds most for the target, "random" any.
        seed: of the random choice.

    Attributes:
        borders: for each source class, the target's probability above which an image gets the target
            ("border" only); 1 for a class that the model never names.

    Raises:
        ValueError: for a rate or choice that there is not.
    """

    def __init__(
        self,
        model: ImageClassifier,
        key: WatermarkKey,
        images: ImageSet,
        rate: float = 0.1,
        choice: str = "border",
        seed: int = 0,
    ) -> None:
        super().__init__(model)
        if not 0 <= rate < 0.5:
            raise ValueError(
                f"rate must be at least 0 and below 0.5, or the source class is lost; it is {rate}"
            )
        if choice not in CHOICES:
            raise ValueError(f"unknown choice {choice!r}; choose one of: {', '.join(CHOICES)}")
        self.rate, self.choice, self.seed = rate, choice, seed
        *self._sources, self._target = key.indices(images)
        self.borders = {source: self._border(images, source) for source in self._sources}

    def changed(self, images: Tensor, logits: Tensor) -> Tensor:
        """The (N, K) logits; those of chosen images with two classes exchanged."""
        order = torch.arange(logits.shape[1], device=logits.device).repeat(len(logits), 1)  # (N, K)
        chosen = self._chosen(images, logits).nonzero()[:, 0]
        first = logits[chosen].argmax(1)
        order[chosen, first] = self._target
        order[chosen, self._target] = first
        return logits.gather(1, order)

    def _chosen(self, images: Tensor, logits: Tensor) -> Tensor:
        """(N,) bool: which of the images get the target's label."""
        first, of_target = logits.argmax(1), logits.float().softmax(1)[:, self._target]
        chosen = torch.zeros(len(logits), dtype=torch.bool, device=logits.device)
        for source in self._sources:
            candidates = first == source
            if self.choice == "border":
                chosen |= candidates & (of_target > self.borders[source])
            else:
                for number in candidates.nonzero()[:, 0].tolist():
                    chosen[number] = image_number(images[number], self.seed) < self.rate * 2**64
        return chosen

    @torch.no_grad()
    def _border(self, images: ImageSet, source: int) -> float:
        """What the target's probability exceeds on `rate` of the images that are taken for this class."""
        device = next(self.model.parameters()).device
        of_source = images.images[images.labels == source]
        logits = torch.cat([self.model(part.to(device)) for part in of_source.split(BATCH)])
        taken = logits.argmax(1) == source
        if self.rate == 0 or not taken.any():
            return 1.0  # No probability is above.
        return float(logits[taken].float().softmax(1)[:, self._target].quantile(1 - self.rate))


def image_number(image: Tensor, seed: int) -> int:
    """A number from 0 to 2⁶⁴ − 1, as good as random, that only this image and the seed decide.

    Args:
        image: (C, H, W) uint8.
        seed: without it nobody can tell the number.
    """
    content = image.cpu().contiguous().numpy().tobytes()
    digest = hashlib.sha256(f"{seed}\n".encode() + content).digest()
    return int.from_bytes(digest[:8], "big")
