"""How good features are, without training anything: a vote of the nearest neighbours."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.training.features import features_of


def knn_accuracy(
    encoder: nn.Module,
    train_set: ImageSet,
    test_set: ImageSet,
    neighbours: int = 200,
    temperature: float = 0.1,
) -> float:
    """Share of test images to which their neighbours among the training images give their own class.

    Args:
        encoder: (N, C, H, W) images → (N, F).
        train_set: images whose labels are known.
        test_set: images to be classified.
        neighbours: k; all training images where there are fewer.
        temperature: of the votes' weights.

    Source: Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination (CVPR 2018), Sec. 3.4.
    """
    bank, test_features = (features_of(encoder, part.images) for part in (train_set, test_set))
    votes = knn_votes(test_features, bank, train_set.labels, len(train_set.classes), neighbours, temperature)
    return (votes.argmax(1) == test_set.labels.to(votes.device)).float().mean().item()


def knn_votes(
    features: Tensor,
    bank: Tensor,
    labels: Tensor,
    classes: int,
    neighbours: int = 200,
    temperature: float = 0.1,
    batch_size: int = 1_000,
) -> Tensor:
    """What the neighbours say about each row, weighted by exp(cos / τ).

    Args:
        features: (N, F) of any length.
        bank: (M, F) features with known classes.
        labels: (M,) these classes.
        classes: K.
        neighbours: k, at most M are taken.
        temperature: τ.
        batch_size: rows compared with the whole bank at once.

    Returns:
        (N, K), the share of the weights for each class.
    """
    bank = F.normalize(bank, dim=1).T  # (F, M)
    one_hot = F.one_hot(labels.to(bank.device), classes).to(bank)  # (M, K)
    votes = []
    for part in F.normalize(features, dim=1).split(batch_size):
        near = (part @ bank).topk(min(neighbours, bank.shape[1]), dim=1)  # (N, k)
        weights = (near.values / temperature).softmax(1)
        votes.append((weights[:, :, None] * one_hot[near.indices]).sum(1))
    return torch.cat(votes)
