"""What an encoder is worth to a user: a linear classifier on its frozen features."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mea_lib.data import ImageSet
from mea_lib.training.features import features_of

CONSTANT = 1e-6  # a feature that deviates by less of its largest value carries nothing


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

    Args:
        encoder: (N, C, H, W) images → (N, F); it is not changed.
        labelled: images with their classes.
        images: only the first so many of them.
        strength, steps: as `fit_linear_head`.

    Returns:
        The classifier, on the encoder's device and in evaluation mode, as the encoder is from then on.

    Raises:
        ValueError: where a class has no image.
    """
    labelled = labelled if images is None else labelled.subset(images)
    check_every_class(labelled.labels, labelled.classes)  # before the encoder is queried, which takes longer
    features = features_of(encoder, labelled.images)  # (N, F)
    head = fit_linear_head(features, labelled.labels, labelled.classes, strength=strength, steps=steps)
    return LinearProbe(encoder, head).eval()


def fit_linear_head(
    features: Tensor,
    labels: Tensor,
    classes: Sequence[str],
    strength: float = 1.0,
    steps: int = 1_000,
) -> nn.Linear:
    """Fit a linear classifier to features that are there already.

    The features are standardised and logistic regression with an L2 term is solved by L-BFGS; mean and deviation
    then become part of the linear layer. There is one solution, so no seed and no learning rate.

    Args:
        features: (N, F), finite.
        labels: (N,) numbers of their classes.
        classes: names of the K classes.
        strength: scikit-learn's C: the larger, the weaker the L2 term.
        steps: of L-BFGS at most.

    Returns:
        (·, F) → (·, K) logits, on the features' device.

    Raises:
        ValueError: for features of another shape, or where a class has none.
    """
    from sklearn.linear_model import LogisticRegression  # here, since it takes a second that only probes need

    if features.ndim != 2 or len(features) != len(labels):
        raise ValueError(
            f"{len(labels)} labels need features of the shape ({len(labels)}, F), not {tuple(features.shape)}"
        )
    check_every_class(labels, classes)
    known = features.float().cpu()
    mean, deviation = known.mean(0), known.std(0, correction=0)
    deviation = torch.where(deviation <= CONSTANT * known.abs().amax(0), 1.0, deviation)
    solver = LogisticRegression(C=strength, max_iter=steps)
    solver.fit(((known - mean) / deviation).numpy(), labels.cpu().numpy())
    weight, bias = (torch.as_tensor(parameter).float() for parameter in (solver.coef_, solver.intercept_))
    if len(weight) == 1:  # of two classes scikit-learn gives the second one's odds only
        weight, bias = (torch.cat([torch.zeros_like(parameter), parameter]) for parameter in (weight, bias))
    weight = weight / deviation
    head = nn.utils.skip_init(nn.Linear, *weight.shape[::-1])  # without drawing weights
    head.load_state_dict({"weight": weight, "bias": bias - weight @ mean})
    return head.to(features.device)


def check_every_class(labels: Tensor, classes: Sequence[str]) -> None:
    """Check that each of the classes is among these labels (N,).

    Raises:
        ValueError: names those that are not.
    """
    counts = torch.bincount(labels.cpu(), minlength=len(classes))
    if (counts == 0).any():
        missing = ", ".join(classes[number] for number in counts.eq(0).nonzero().flatten().tolist())
        raise ValueError(f"these {len(labels)} images hold none of the classes {missing}; label more images")
