"""What a linear probe would say about an encoder's features at this moment of its training."""

import torch
from torch import Tensor

SHRINKAGE = 0.1  # towards equal variances, so that few batches are enough for a covariance


class RunningProbe:
    """Linear discriminant analysis with class means and a common covariance that are kept up while training.

    A probe that somebody trains later on the finished encoder is another linear classifier, but on features whose
    classes are clouds of about one shape both draw their borders at the same places.

    Args:
        classes: K.
        memory: share of the statistics that each new batch leaves as it was, from 0 to 1.

    Source: Hastie, Tibshirani and Friedman, The Elements of Statistical Learning, Sec. 4.3; the statistics are
    exponential means, which are constants to the gradient.
    """

    def __init__(self, classes: int, memory: float = 0.95) -> None:
        if not 0 <= memory < 1:
            raise ValueError(f"memory must lie from 0 to below 1, not {memory}")
        self.classes = classes
        self.memory = memory
        self._counts = self._sums = self._products = None

    @torch.no_grad()
    def update(self, features: Tensor, labels: Tensor) -> None:
        """Take in a batch.

        Args:
            features: (N, F).
            labels: (N,) class numbers.
        """
        features = features.float()
        one_hot = torch.nn.functional.one_hot(labels, self.classes).to(features)  # (N, K)
        found = one_hot.sum(0), one_hot.T @ features, features.T @ features
        if self._counts is None:
            self._counts, self._sums, self._products = found
        else:
            for kept, new in zip((self._counts, self._sums, self._products), found, strict=True):
                kept.mul_(self.memory).add_(new)

    @property
    def means(self) -> Tensor:
        """(K, F) running mean of each class."""
        return self._sums / self._counts.clamp_min(1e-6)[:, None]

    @torch.no_grad()
    def logits_of(self, temperature: float = 1.0) -> tuple[Tensor, Tensor]:
        """Weight (K, F) and bias (K,) of the linear classifier; logits are divided by the temperature."""
        means = self.means
        covariance = (
            self._products - self._sums.T @ means
        )  # within classes, since Σ n_k μ_k μ_kᵀ is taken off
        covariance = covariance / self._counts.sum()
        variance = covariance.diagonal().mean().clamp_min(1e-8)
        equal = variance * torch.eye(len(covariance), device=covariance.device)
        weight = torch.linalg.solve((1 - SHRINKAGE) * covariance + SHRINKAGE * equal, means.T).T  # (K, F)
        bias = -(weight * means).sum(1) / 2
        return weight / temperature, bias / temperature
