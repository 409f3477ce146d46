"""An encoder: images in, features out, with a projection head that only its training uses."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mea_lib.models import PAPER_WIDTH, ImageClassifier, Input, build
from mea_lib.seeded import seeded

PROJECTION = (128, 64)


class Encoder(nn.Module):
    """A network whose answer is its feature vector.

    Args:
        network: a classifier whose head gives the features: a linear layer, or nothing at all.
        size: F, the number of features.
        projection: hidden and output size of the head that the contrastive loss reads.
        spec: what `build_encoder` made it from, kept so that it can be made again.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (ICML 2020): features
    are read before the projection, z = W₂ ReLU(W₁ h), here with batch normalisation between the layers as in the
    authors' code.
    """

    def __init__(
        self, network: ImageClassifier, size: int, projection: tuple[int, int], spec: dict[str, Any]
    ) -> None:
        super().__init__()
        hidden, outputs = projection
        self.network = network
        self.size = size
        self.projection = nn.Sequential(
            nn.Linear(size, hidden, bias=False),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, outputs),
        )
        self.spec = spec
        self.card: dict[str, Any] = {}

    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 from 0 to 255, or floats in [0, 1] → (N, F) in float32."""
        return self.network(images)

    def project(self, features: Tensor) -> Tensor:
        """(N, F) features → (N, D) projections in float32."""
        return self.projection(features).float()

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images → (N, F) features: all that an API of an encoder answers."""
        return self.features(images)


def build_encoder(
    network: str,
    inputs: Input,
    *,
    width: int = PAPER_WIDTH,
    features: int | None = None,
    projection: Sequence[int] = PROJECTION,
    seed: int = 0,
) -> Encoder:
    """An encoder with random weights, in the channels_last memory format.

    Args:
        network: one of `mea_lib.models.NETWORKS`. Without `features` it decides how many there are: 4·width
            (nine_layer_cnn), 8·width (vgg_like, resnet18), 16·width (alexnet), 32·width (resnet50) or 64·width
            (vggface).
        inputs: the images it takes.
        width: channels of the first layer.
        features: F, at least 2; a linear layer brings the network's own features to this number.
        projection: hidden and output size of the projection head.
        seed: of the weights; the global random state is left as it was.

    Raises:
        ValueError: for an unknown network, or sizes that are too small.
    """
    if len(projection) != 2 or min(projection) < 1:
        raise ValueError(f"projection names a hidden and an output size of at least 1, not {projection}")
    if features is not None and features < 2:
        raise ValueError(f"an encoder needs at least 2 features, not {features}")
    spec = {
        "kind": "encoder",
        "network": network,
        "channels": inputs.channels,
        "size": inputs.size,
        "width": width,
        "features": features,
        "projection": list(projection),
        "mean": list(inputs.mean),
        "std": list(inputs.std),
    }
    classifier = build(network, inputs, classes=features or 2, width=width, seed=seed)
    last_features = classifier.head.in_features
    if features is None:
        classifier.head = nn.Identity()
    with seeded(seed + 1):  # other numbers than the network's own layers got
        encoder = Encoder(classifier, features or last_features, tuple(projection), spec)
    return encoder.to(memory_format=torch.channels_last)


def from_spec(spec: dict[str, Any], seed: int = 0) -> Encoder:
    """The encoder that a `spec` describes, with random weights of this seed."""
    inputs, layers = Input.split_from({name: value for name, value in spec.items() if name != "kind"})
    return build_encoder(layers.pop("network"), inputs, **layers, seed=seed)
