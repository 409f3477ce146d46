"""What an encoder is worth to a user: a linear classifier on its frozen features."""

import torch
from torch import Tensor, nn

from mea_lib.data import ImageSet
from mea_lib.training.features import features_of

CONSTANT = 1e-6  # a feature that deviates less carries nothing


class LinearProbe(nn.Module):
    """An encoder and a linear layer on its features: a classifier like any other from outside.

    Args:
        encoder: (N, C, H, W) images → (N, F); it is shared, not copied.
        head: (N, F) → (N, K).
    """

    def __init__(self, encoder: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 from 0 to 255, or floats in [0, 1] → (N, F) in float32."""
        return self.encoder(images)

    def logits(self, features: Tensor) -> Tensor:
        """(N, F) features → (N, K) in float32."""
        return self.head(features).float()

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images → (N, K) logits."""
        return self.logits(self.features(images))


def fit_linear_probe(
    encoder: nn.Module,
    labelled: ImageSet,
    *,
    images: int | None = None,
    strength: float = 1.0,
    steps: int = 1_000,
) -> LinearProbe:
    """Train a linear classifier on the features of labelled images.

    The features are standardised and logistic regression with an L2 term is solved by L-BFGS; mean and deviation
    then become part of the linear layer. There is one solution, so no seed and no learning rate.

    Args:
        encoder: (N, C, H, W) images → (N, F); it is not changed.
        labelled: images with their classes.
        images: only the first so many of them.
        strength: scikit-learn's C: the larger, the weaker the L2 term.
        steps: of L-BFGS at most.

    Returns:
        The classifier, on the encoder's device and in evaluation mode, as the encoder is from then on.

    Raises:
        ValueError: where a class has no image.
    """
    from sklearn.linear_model import LogisticRegression  # here, since it takes a second that only probes need

    labelled = labelled if images is None else labelled.subset(images)
    counts = torch.bincount(labelled.labels.cpu(), minlength=len(labelled.classes))
    if (counts == 0).any():
        missing = ", ".join(labelled.classes[number] for number in counts.eq(0).nonzero().flatten().tolist())
        raise ValueError(
            f"these {len(labelled)} images hold none of the classes {missing}; label more images"
        )
    features = features_of(encoder, labelled.images).cpu()  # (N, F)
    mean, deviation = features.mean(0), features.std(0, correction=0)
    deviation = torch.where(deviation < CONSTANT, 1.0, deviation)
    solver = LogisticRegression(C=strength, max_iter=steps)
    solver.fit(((features - mean) / deviation).numpy(), labelled.labels.cpu().numpy())
    weight, bias = (torch.as_tensor(found).float() for found in (solver.coef_, solver.intercept_))
    if len(weight) == 1:  # of two classes scikit-learn gives the second one's odds only
        weight, bias = (torch.cat([torch.zeros_like(found), found]) for found in (weight, bias))
    weight = weight / deviation
    head = nn.Linear(*weight.shape[::-1])
    head.load_state_dict({"weight": weight, "bias": bias - weight @ mean})
    return LinearProbe(encoder, head.to(next(encoder.parameters()).device)).eval()
