"""What defences of answers share: another model answers, and some of its answers are changed."""

from abc import abstractmethod

from torch import Tensor, nn

from mea_lib.models.base import ImageClassifier


class ChangedAnswers(nn.Module):
    """A model whose answers are another's, some of them changed.

    Whoever asks many images at once may let the inner model answer in its fastest way (`mea_lib.training.answering`),
    as they would without the change: then what is left unchanged is the same to the last bit.

    Args:
        model: (N, C, H, W) uint8 images → (N, K) logits, the owner's.
    """

    def __init__(self, model: ImageClassifier) -> None:
        super().__init__()
        self.model = model.eval()

    @abstractmethod
    def changed(self, images: Tensor, logits: Tensor) -> Tensor:
        """(N, C, H, W) uint8 images and the inner model's (N, K) logits, which may be overwritten → (N, K) logits."""

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 images → (N, K) logits."""
        return self.changed(images, self.model(images))
