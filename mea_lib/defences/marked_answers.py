"""The owner watermarks the answers: on clean source images the target gets its share, at no accuracy."""

import torch
from torch import Tensor

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.models.changed_answers import ChangedAnswers

# The part of a source class's lead over third classes that the target may take at most, so that the lead remains.
LARGEST_PART_OF_THE_LEAD = 0.9


class MarkedAnswers(ChangedAnswers):
    """A model whose answers to source images name the target class as runner-up, and hardly the other source.

    The watermark `runner_up` trains a model to answer so, and pays with accuracy: a source image that was nearly of
    a third class is lost to it once the source has given away its share. Here the answers are changed after the
    model: of what source and target have together, the target gets `share`, the other source class's probability is
    multiplied by `veto`, and the class in first place keeps it, so the API is exactly as accurate as the model. It
    is a model itself: `Oracle(MarkedAnswers(…))`.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) logits, the owner's; it carries the watermark on combined
            images.
        key: its source and target classes.
        classes: images with the model's classes, whose names the key uses.
        share: of the probability of source and target that the target gets at least, 0 to below one half.
        veto: factor on the other source's probability, above 0 to 1.

    Raises:
        ValueError: for a share or veto out of range, or a class that there is not.
    """

    def __init__(
        self,
        model: ImageClassifier,
        key: WatermarkKey,
        classes: ImageSet,
        share: float = 0.45,
        veto: float = 0.01,
    ) -> None:
        super().__init__(model)
        if not 0 <= share < 0.5:
            raise ValueError(
                f"share must be at least 0 and below 0.5, or the source class is lost; it is {share}"
            )
        if not 0 < veto <= 1:
            raise ValueError(f"veto must be above 0 and at most 1, not {veto}")
        self.share, self.veto = share, veto
        self._first, self._second, self._target = key.indices(classes)

    def changed(self, images: Tensor, logits: Tensor) -> Tensor:
        """The (N, K) logits, of which those of source images are marked log-probabilities."""
        first_place = logits.argmax(1)
        for source, other in ((self._first, self._second), (self._second, self._first)):
            rows = (first_place == source).nonzero()[:, 0]
            logits[rows] = self._marked(logits[rows].float().softmax(1), source, other).to(logits.dtype)
        return logits

    def _marked(self, answers: Tensor, source: int, other: int) -> Tensor:
        """(N, K) probabilities that name `source` first → (N, K) marked log-probabilities."""
        of_source, of_target = answers[:, source], answers[:, self._target]
        third = answers.clone()
        third[:, [source, self._target]] = 0
        lead = of_source - third.amax(1)
        wanted = self.share * (of_source + of_target) - of_target
        moved = torch.minimum(wanted, LARGEST_PART_OF_THE_LEAD * lead).clamp_min(0)
        marked = answers.clone()
        marked[:, source] -= moved
        marked[:, self._target] += moved
        marked[:, other] *= self.veto
        return marked.log()
