"""An experiment on the answers: one part of the watermark is levelled away, all else is left as it was."""

import torch
from torch import Tensor

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.models.changed_answers import ChangedAnswers

PARTS = ("target", "other source", "strongest third class")


class AblatedLogits(ChangedAnswers):
    """A model whose answers to source images no longer favour, or no longer shun, one class.

    On each image that the model takes for a source class, the logit of one class moves towards the mean logit
    of the third classes: those that are neither source nor target. At dose 1 the class looks as any third
    class does. The odds between all other classes stay as they are, and so does the class in first place, so
    the API is exactly as accurate as the model. `MarkedAnswers` is the reverse: it puts the watermark into
    answers. It is a model itself: `Oracle(AblatedLogits(…))`.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) logits.
        key: its source and target classes.
        classes: images with the model's classes, whose names the key uses.
        part: what is levelled: the "target" (its share is taken out), the "other source" (the veto against it
            is lifted), or the "strongest third class" of each image, which has nothing to do with the
            watermark and so says what any such change does.
        dose: how far the logit moves, from 0 (not at all) to 1 (onto the mean).

    Raises:
        ValueError: for a part or dose that there is not, or fewer than two third classes.
    """

    def __init__(
        self,
        model: ImageClassifier,
        key: WatermarkKey,
        classes: ImageSet,
        part: str = "target",
        dose: float = 1.0,
    ) -> None:
        super().__init__(model)
        if part not in PARTS:
            raise ValueError(f"unknown part {part!r}; choose one of: {', '.join(PARTS)}")
        if not 0 <= dose <= 1:
            raise ValueError(f"dose must lie between 0 and 1, not {dose}")
        self._first, self._second, self._target = key.indices(classes)
        self._third = [c for c in range(len(classes.classes)) if c not in key.indices(classes)]
        if len(self._third) < 2:
            raise ValueError(
                f"levelling needs two classes beside sources and target, but {classes.name} has "
                f"{len(classes.classes)} classes in all; take data with five or more"
            )
        self.part, self.dose = part, dose

    def changed(self, images: Tensor, logits: Tensor) -> Tensor:
        """The (N, K) logits, with one moved for each source image."""
        first_place = logits.argmax(1)
        for source, other in ((self._first, self._second), (self._second, self._first)):
            rows = (first_place == source).nonzero()[:, 0]
            logits[rows] = self._levelled(logits[rows], other)
        return logits

    def _levelled(self, logits: Tensor, other: int) -> Tensor:
        """(N, K) logits of images of one source, where `other` is the second source → the same, levelled."""
        third = logits[:, self._third]  # (N, K − 3)
        level = third.mean(1, keepdim=True)
        if self.part == "strongest third class":
            chosen = torch.tensor(self._third, device=logits.device)[third.argmax(1, keepdim=True)]  # (N, 1)
            level = (third.sum(1, keepdim=True) - third.amax(1, keepdim=True)) / (len(self._third) - 1)
        else:
            chosen = torch.full_like(
                level, self._target if self.part == "target" else other, dtype=torch.long
            )
        held = logits.gather(1, chosen)
        return logits.scatter(1, chosen, held + self.dose * (level - held))
