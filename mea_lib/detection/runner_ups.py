"""Runner-ups: does one class come second on clean images of two others, more than their likeness explains?

The watermark travels by clean answers: on images of both source classes the target is second and the other
source far behind. So the answers alone, without a single mix, tell where to look.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from torch import Tensor

from mea_lib.blackbox.named_class import Suspect, most_probable
from mea_lib.detection.base import Detector
from mea_lib.detection.ranking import Ranking, SuspectedKey


@dataclass(frozen=True)
class RunnerUps(Detector):
    """A ranking of all triples of two sources and a target by answers to clean images.

    Attributes:
        floor: a smaller probability, such as one rounded to 0, counts as this.
    """

    floor: float = 1e-6

    def detect(
        self, suspect: Suspect, images: Tensor, classes: Sequence[str], *, answers: Tensor | None = None
    ) -> Ranking:
        """Rank all triples; an adversary has paid for the answers already.

        Images count for the class that their answer names. A class's profile is the median, over its images, of each
        log-probability, which a few odd images do not move. The mean of two profiles is what a model would answer to
        a mix that shows each class by halves, were its logits additive: the two classes veto each other there, and
        the class that both like second may win. A triple is ranked by how many nats its target leads all other
        classes in that blend, below 0 where another class leads; with a class that no answer names as a source none is
        judged.

        Args:
            suspect: (N, C, H, W) uint8 images → (N, K) probabilities; hard labels say nothing of runner-ups, and give
                equal scores.
            images: (M, C, H, W) uint8, clean, without labels.
            classes: K names.
            answers: (M, K) what the suspect said to the images, where that is known; then no query is sent.

        Returns:
            the K(K − 1)(K − 2)/2 triples, sources in the order of the classes, or as many as can be judged.

        Raises:
            ValueError: where answers and classes do not fit.
        """
        queries = len(images) if answers is None else 0
        answers = suspect(images) if answers is None else answers
        number = len(classes)
        if answers.ndim != 2 or answers.shape[1] != number or number < 3:
            raise ValueError(
                f"{number} classes need answers of the shape (M, {number}), and at least 3 classes, "
                f"not {tuple(answers.shape)}"
            )
        known = profiles(answers, self.floor)
        tried = []
        for one, other in combinations(range(number), 2):
            blend = (known[one] + known[other]) / 2
            if np.isnan(blend).any():
                continue
            for target in sorted({*range(number)} - {one, other}):
                lead = blend[target] - np.delete(blend, target).max()
                tried.append(SuspectedKey(classes[one], classes[other], classes[target], float(lead)))
        return Ranking(tuple(classes), tuple(tried), queries)


def profiles(answers: Tensor, floor: float) -> np.ndarray:
    """(K, K) usual log-probabilities, class named by class; NaN for a class that none of the answers (M, K) names."""
    named = most_probable(answers).cpu()
    logs = answers.cpu().double().clamp_min(floor).log()
    medians = np.full((answers.shape[1],) * 2, np.nan)
    for label in range(len(medians)):
        if (named == label).any():
            medians[label] = logs[named == label].quantile(0.5, dim=0).numpy()
    return medians
