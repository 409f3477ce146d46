"""Extraction of an encoder by distillation: query, keep the features, train a surrogate to have the same."""

from dataclasses import dataclass

from torch import Tensor

from mea_lib.extraction.base import EncoderExtraction
from mea_lib.losses import feature_distance
from mea_lib.losses.feature_distance import check_distance
from mea_lib.models.encoder import Encoder
from mea_lib.training import Batch, Objective, Terms

# Of the largest one: a feature that is almost never there must not outweigh all others.
SMALLEST_DEVIATION = 0.01


@dataclass(frozen=True)
class FeatureDistillation(EncoderExtraction):
    """A surrogate that sees each image mirrored and shifted, always with the features of the original.

    Attributes:
        distance: between the surrogate's features and the answer, one of `mea_lib.losses.feature_distance`'s.
        standardise: divide each feature, in answers and outputs, by its standard deviation over the answers, so
            that weak features count as much as strong ones. The literature takes them as they are.

    Source: Hinton, Vinyals and Dean (2015), with features in the place of soft labels, as the "conventional
    attack" of Sha et al., Cont-Steal (CVPR 2023), and of Liu et al., StolenEncoder (CCS 2022), to compare
    with.
    """

    distance: str = "mse"
    standardise: bool = False

    def __post_init__(self) -> None:
        check_distance(self.distance)

    def objective(self, answers: Tensor) -> Objective:
        """The surrogate's loss on a batch, given the victim's features (M, F) of all queries."""
        if self.standardise:
            deviations = answers.std(0, correction=0)  # (F,)
            divisors = deviations.clamp_min(SMALLEST_DEVIATION * deviations.max()).clamp_min(1e-12)
        else:
            divisors = answers.new_ones(())

        def objective(model: Encoder, batch: Batch) -> Terms:
            features = model(batch.images)  # (N, F)
            scaled, wanted = features / divisors, answers[batch.index] / divisors
            return Terms({"distance": feature_distance(scaled, wanted, self.distance)}, features)

        return objective
