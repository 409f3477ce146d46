"""Triggers that were found in a model's weights, and which of them must be a backdoor's."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from mea_lib.detection.anomaly_index import THRESHOLD, anomaly_indices


@dataclass(frozen=True)
class ReversedTriggers:
    """M triggers that were looked for: one for each class by `NeuralCleanse`, for each suspicious neuron by `ABS`.

    Attributes:
        targets: (M,) number of the class that each sends images to.
        masks: (M, 1, H, W) in [0, 1].
        patterns: (M, C, H, W) in [0, 1].
        success: (M,) share of clean images that each sends to its class.
        wanted_success: a trigger with so much success is flagged; where it is None, one with a small mask.
        neurons: (M,) number of the feature that each drives; None where each was looked for by its class.
        gaps: (M,) how far each neuron lifts its class above all others, see `abs.Stimulation`; None likewise.
    """

    targets: Tensor
    masks: Tensor
    patterns: Tensor
    success: Tensor
    wanted_success: float | None = None
    neurons: Tensor | None = None
    gaps: Tensor | None = None

    @property
    def norms(self) -> np.ndarray:
        """(M,) L1 norms of the masks, in pixels."""
        return self.masks.flatten(1).sum(1).numpy()

    @property
    def anomaly_indices(self) -> np.ndarray:
        """(M,) how far each norm lies from the median of all."""
        return anomaly_indices(self.norms)

    @property
    def signed_indices(self) -> np.ndarray:
        """(M,) the same, negative where the mask is larger than the median: such a class has no trigger to hide."""
        middle = np.median(self.norms) if len(self.norms) else 0.0
        return np.where(self.norms > middle, -1, 1) * self.anomaly_indices

    @property
    def flagged(self) -> tuple[int, ...]:
        """Which triggers are a backdoor's, from 0: the most successful first, or those with the smallest masks.

        A mask is small where its norm lies below the median by an index above 2.
        """
        if self.wanted_success is None:
            odd, order = self.signed_indices > THRESHOLD, np.argsort(self.norms)
        else:
            odd = self.success >= self.wanted_success
            order = self.success.argsort(descending=True, stable=True)
        return tuple(int(number) for number in order if odd[number])

    @property
    def flagged_classes(self) -> tuple[int, ...]:
        """Numbers of their classes, each once, in the same order."""
        return tuple(dict.fromkeys(int(self.targets[number]) for number in self.flagged))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON: a value for each trigger, and the classes that are flagged."""
        return {
            "targets": self.targets.tolist(),
            "norms": self.norms.tolist(),
            "success": self.success.tolist(),
            "indices": self.signed_indices.tolist(),
            "flagged": list(self.flagged_classes),
        }
