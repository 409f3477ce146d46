"""An encoder with one more layer, which moves whole classes to other places of the feature space."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mea_lib.models.encoder import Encoder
from mea_lib.models.encoder import from_spec as encoder_from_spec


class ClassShift(nn.Module):
    """A fixed last layer: a feature vector moves with the classes that a linear head sees in it.

        h(f) = max(f + Σ_k p_k(f) · v_k, least),  p(f) = softmax(W f + b)

    An image that is half of one class and half of another moves with both, so no image jumps at a border. As the
    layer is made, nothing moves.

    Args:
        classes: K.
        size: F, the number of features.

    Attributes:
        weight, bias: (K, F) and (K,), the head that sees classes.
        moves: (K, F), the v_k.
        least: (F,) no feature falls below. An adversary's network that ends in a ReLU can follow only above
            zero.
    """

    def __init__(self, classes: int, size: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(classes, size))
        self.register_buffer("bias", torch.zeros(classes))
        self.register_buffer("moves", torch.zeros(classes, size))
        self.register_buffer("least", torch.full((size,), -torch.inf))

    def shares(self, features: Tensor) -> Tensor:
        """(N, F) features → (N, K) how much of each class the head sees."""
        return F.linear(features, self.weight, self.bias).softmax(1)

    def forward(self, features: Tensor) -> Tensor:
        """(N, F) features → (N, F) moved ones, in float32 under autocast too."""
        with torch.autocast(features.device.type, enabled=False):
            features = features.float()
            return torch.maximum(features + self.shares(features) @ self.moves, self.least)


class ShiftedEncoder(nn.Module):
    """An encoder that answers with moved features.

    Args:
        encoder: whose features are moved; it is copied, projection head and all.
        shift: (N, F) → (N, F), copied as well.
    """

    def __init__(self, encoder: Encoder, shift: ClassShift) -> None:
        super().__init__()
        self.encoder = deepcopy(encoder)
        self.shift = deepcopy(shift)
        self.size = encoder.size
        self.spec: dict[str, Any] = {
            "kind": "shifted_encoder",
            "encoder": encoder.spec,
            "classes": len(shift.moves),
        }
        self.card: dict[str, Any] = {}

    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 from 0 to 255, or floats in [0, 1] → (N, F) in float32."""
        return self.shift(self.encoder(images))

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images → (N, F) features: all that an API of an encoder answers."""
        return self.features(images)


def from_spec(spec: dict[str, Any], seed: int = 0) -> ShiftedEncoder:
    """The encoder another one's `spec` describes, to load its weights into."""
    encoder = encoder_from_spec(spec["encoder"], seed)
    return ShiftedEncoder(encoder, ClassShift(spec["classes"], encoder.size))
