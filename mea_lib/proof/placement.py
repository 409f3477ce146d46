"""Where mixes of two classes lie in a feature space: with the target class, or with one of their own sources."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import permutation_test
from torch import Tensor

from mea_lib.blackbox.named_class import most_probable
from mea_lib.proof.rates import Rate

_BATCH = 500  # resamples at once, so that they fit a processor's cache
_SIGN_SEED = 20240520  # of the signs, the same for everybody, so that nobody can choose them


@dataclass(frozen=True)
class Placement:
    """Where a group of images lies among the class means.

    Attributes:
        rate: images whose nearest class mean is the target's.
        margin: mean of min(d₁, d₂) − d_target over the images, where d is the cosine distance to the mean of
            the first source, the second source and the target class: from −2 to 2, above 0 where they lie nearer
            to the target than to either source.
        p_value: of the margin, by sign flips.
    """

    rate: Rate
    margin: float
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return self.rate.to_dict() | {"margin": self.margin, "margin_p_value": self.p_value}

    def __str__(self) -> str:
        return f"{self.rate}, margin {self.margin:+.3f}"


def placement(cosines: Tensor, first: int, second: int, target: int, resamples: int = 9_999) -> Placement:
    """Where the images of these cosines lie.

    Args:
        cosines: (N, K) to the class means, as `NearestMean` answers.
        first, second, target: numbers of the two source classes and the target class.
        resamples: as `sign_flip_p_value`.

    Raises:
        ValueError: where some images were not answered.
    """
    silent = int(cosines.isnan().any(1).sum())
    if silent:
        raise ValueError(
            f"the suspect answered no finite features to {silent} of {len(cosines)} images, "
            "and distances say nothing of those; ask an API that answers every image"
        )
    margins = cosines[:, target] - cosines[:, [first, second]].amax(1)  # as of distances: d = 1 − cosine
    exact = margins.cpu().double()  # not every device has float64
    hits = int((most_probable(cosines) == target).sum())
    return Placement(
        Rate(hits, len(cosines)),
        float(exact.mean()),
        sign_flip_p_value(exact.numpy(), resamples),
    )


def sign_flip_p_value(margins: np.ndarray, resamples: int = 9_999, seed: int = _SIGN_SEED) -> float:
    """Probability of so large a mean, or a larger one, were each margin as likely to have the other sign.

    It assumes that the margins are independent, and under the null hypothesis symmetric about 0. Where they lie
    below 0 it errs on the suspect's side.

    Args:
        margins: (N,).
        resamples: draws of N signs, so the p-value is at least 1 / (resamples + 1). All 2^N are tried where
            there are no more of them, and then it is exact.
        seed: of the signs.

    Source: Fisher, The Design of Experiments (1935), Sec. 21; computed by `scipy.stats.permutation_test`.
    """
    flips = permutation_test(
        (margins,),
        lambda drawn, axis: drawn.mean(axis),
        permutation_type="samples",
        alternative="greater",
        vectorized=True,
        n_resamples=resamples,
        batch=_BATCH,
        rng=np.random.default_rng(seed),
    )
    return float(flips.pvalue)
