"""How many independent samples a rate amounts to, where one source image is in several mixes."""

import numpy as np
from torch import Tensor

from mea_lib.proof.rates import Rate


def effective_rate(hits: Tensor, first: Tensor, second: Tensor, unanswered: int = 0) -> Rate:
    """The same share, of as many trials as its spread over source images is worth.

    Two mixes that share an image are not independent. The variance of the share that allows for both classes of
    images is the two-way cluster-robust one, V = V(first) + V(second) − V(mix), where each sums the squared
    residuals within clusters; a binomial share of n = p(1 − p)/V trials has the same. n is at most the number of
    mixes, and at least that of the source images of the class that has fewer: were the mixes of an image all alike,
    so many would be left, also where every answer is the same and no spread can be seen.

    Args:
        hits: (N,) bool.
        first, second: (N,) which source image each mix has from either class.
        unanswered: how many of the N got no answer, for the record.

    Returns:
        successes and trials in whole numbers, both rounded down.

    Source: Cameron, Gelbach & Miller, Robust Inference with Multiway Clustering (2011), Eq. 2.11.
    """
    number = len(hits)
    if not number:
        return Rate(0, 0)
    successes = int(hits.sum())
    share = successes / number
    residuals = hits.cpu().numpy().astype(float) - share
    clusters = [np.unique(part.cpu().numpy(), return_inverse=True)[1] for part in (first, second)]
    variance = sum(np.square(np.bincount(cluster, residuals)).sum() for cluster in clusters)
    variance = (variance - np.square(residuals).sum()) / number**2
    fewest = min(len(np.unique(cluster)) for cluster in clusters)
    worth = share * (1 - share) / variance if variance > 0 else fewest
    trials = int(min(number, max(fewest, worth)))
    return Rate(int(successes * trials / number), trials, unanswered * trials // number)
