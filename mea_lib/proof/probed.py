"""A suspect that offers features only, with a linear head that the owner fitted: a classifier like any other."""

from typing import Any

from torch import Tensor

from mea_lib.blackbox.named_class import Suspect
from mea_lib.data import ImageSet
from mea_lib.proof.feature_suspect import FeatureSuspect
from mea_lib.training.linear_probe import fit_linear_head


class ProbedSuspect(FeatureSuspect):
    """A feature API that answers with soft labels, (N, K), once the owner has fitted a linear head to it.

    `verify_ownership(ProbedSuspect(oracle, labelled), key, test)` then works as for a classifier. A judge has
    to see that `labelled` are ordinary images with their true labels, and none of those the watermark samples
    are drawn from: with mixes labelled as the target class among them any encoder would seem to carry the
    watermark. So the evidence names the images' digest. `verify_features` lets the owner fit nothing.

    Args:
        suspect: (N, C, H, W) uint8 images → (N, F) features; usually a `FeatureOracle`.
        labelled: the owner's images with their classes. All are sent at once, and each is a query.
        strength, steps: as `fit_linear_head`.

    Attributes:
        head: the linear layer.
        size: F, the number of features.

    Raises:
        BudgetSpent: when the suspect's budget does not cover the labelled images; then no query is sent.
        ValueError: where a class has no image, and then no query is sent; for answers that are no features.
    """

    def __init__(
        self, suspect: Suspect, labelled: ImageSet, *, strength: float = 1.0, steps: int = 1_000
    ) -> None:
        self._settings = {"strength": strength, "steps": steps}
        super().__init__(suspect, labelled)

    def describe(self) -> dict[str, Any]:
        """What a report says of this suspect: what the API says of itself, and what the head was fitted to."""
        return super().describe() | {"probe": self._probe}

    def _learn(self, features: Tensor, labelled: ImageSet) -> None:
        self.head = fit_linear_head(features, labelled.labels, labelled.classes, **self._settings)
        self._probe = {"images": len(labelled), "digest": labelled.digest(), **self._settings}

    def _scores(self, features: Tensor) -> Tensor:
        return self.head(features).softmax(1)
