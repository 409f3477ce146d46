"""A progress bar of a suspect's queries; needs torch, so that commands import it when they run."""

import sys

import torch
from torch import Tensor
from tqdm import tqdm

from mea_lib.blackbox import Suspect
from mea_lib.blackbox.passed_on import PassedOn
from mea_lib.blackbox.suspect import check_probabilities

FEW = 500  # images that are answered before a bar is read


class Watched(PassedOn):
    """A suspect, with a progress bar of its queries on stderr where that is a terminal.

    Args:
        suspect: an `Oracle` or one like it.
        chunk: images sent at once, so that the bar moves.
        needs_probabilities: refuse answers below 0 or above 1.
    """

    def __init__(self, suspect: Suspect, chunk: int, needs_probabilities: bool = False) -> None:
        super().__init__(suspect)
        self._chunk = chunk
        self._needs_probabilities = needs_probabilities

    def __call__(self, images: Tensor) -> Tensor:
        """The suspect's answers, (N, K). A budget that does not cover all of them refuses all."""
        remaining = self.suspect.remaining
        is_refused = remaining is not None and remaining < len(images)
        if len(images) < FEW or is_refused or not sys.stderr.isatty():
            return self._checked(self.suspect(images))
        answers = []
        with tqdm(total=len(images), desc="querying", unit=" images", leave=False) as bar:
            for part in images.split(self._chunk):
                answers.append(self._checked(self.suspect(part)))
                bar.update(len(part))
        # A suspect that gave no answer yet may not know how wide one is.
        width = max(part.shape[1] for part in answers)
        pad = torch.nn.functional.pad
        return torch.cat([pad(part, (0, width - part.shape[1]), value=torch.nan) for part in answers])

    def _checked(self, answers: Tensor) -> Tensor:
        if self._needs_probabilities:
            check_probabilities(answers, "this adversary cannot learn from them")
        return answers
