"""A suspect in the place of a network, so that an API can be set before it."""

from torch import Tensor, nn

from mea_lib.blackbox.suspect import Suspect


class SuspectModule(nn.Module):
    """A module whose outputs are logits of what a suspect answers: their softmax is its probabilities.

    Args:
        suspect: as `as_suspect` makes it; rows that are no probabilities are taken for logits.
    """

    def __init__(self, suspect: Suspect) -> None:
        super().__init__()
        self.suspect = suspect

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 images → (N, K) logits."""
        answers = self.suspect(images)
        are_probabilities = (answers >= 0).all() and ((answers.sum(1) - 1).abs() < 1e-2).all()
        return answers.clamp_min(1e-30).log() if are_probabilities else answers
