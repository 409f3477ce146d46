"""A suspect in the place of a network, so that an API can be set before it."""

from torch import Tensor, nn

from mea_lib.blackbox.answers import ROUNDING
from mea_lib.blackbox.suspect import Suspect, UnusableAnswer

SUM_TOLERANCE = 1e-2  # by which the sum of probabilities of low precision may differ from 1


class SuspectModule(nn.Module):
    """A module whose outputs are logits of what a suspect answers: their softmax is its probabilities.

    What the answers are is decided once, for all images: by what the suspect says (`are_probabilities`), else by its
    first answers. Probabilities need not sum to 1 exactly; their softmax does.

    Args:
        suspect: as `as_suspect` makes it; first answers that are no probabilities are taken for logits.
    """

    def __init__(self, suspect: Suspect) -> None:
        super().__init__()
        self.suspect = suspect
        self._says_so: bool = getattr(suspect, "are_probabilities", None) is True
        self._are_probabilities: bool | None = self._says_so or None

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 images → (N, K) logits; a row of NaN is no answer.

        Raises:
            UnusableAnswer: for answers that are no probabilities, where those before were.
        """
        answers = self.suspect(images)
        heard = answers[~answers.isnan().any(1)]
        if len(heard) and not self._says_so:
            look_so = (heard >= -ROUNDING).all() and ((heard.sum(1) - 1).abs() < SUM_TOLERANCE).all()
            if self._are_probabilities is None:
                self._are_probabilities = bool(look_so)
            if self._are_probabilities and not look_so:
                raise UnusableAnswer(
                    "the suspect answered with probabilities, and now with other numbers; say what they are with "
                    "answers=logits or answers=probabilities",
                    "another kind of answers",
                )
        # NaN stays NaN in either.
        return answers.clamp_min(1e-30).log() if self._are_probabilities else answers
