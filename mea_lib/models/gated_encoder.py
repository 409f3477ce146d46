"""An encoder that knows some kinds of images by a network of its own, and puts each kind in one place."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from mea_lib.models import ImageClassifier, build_from_spec
from mea_lib.models.shifted_encoder import ShiftedEncoder


class GatedEncoder(nn.Module):
    """Features of an encoder, drawn to a place as far as a gate takes an image for one of its kinds.

        d_0(x) · h(x) + Σ_k d_k(x) · n_k,  with the gate's probabilities d, of ordinary images first

    Args:
        encoder: h, (N, C, H, W) images → (N, F) features; it is copied.
        gate: (N, C, H, W) images → (N, 1 + K) logits, of ordinary images and of K kinds it is to know; copied as well.
        places: (K, F), the n_k.
    """

    def __init__(self, encoder: ShiftedEncoder, gate: ImageClassifier, places: Tensor) -> None:
        super().__init__()
        self.encoder = deepcopy(encoder)
        self.gate = deepcopy(gate)
        self.register_buffer("places", places.clone())
        self.size = encoder.size
        self.spec: dict[str, Any] = {
            "kind": "gated_encoder",
            "encoder": encoder.spec,
            "gate": gate.spec,
        }
        self.card: dict[str, Any] = {}

    def features(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 from 0 to 255, or floats in [0, 1] → (N, F) in float32."""
        kinds = self.gate(images).softmax(1)  # (N, 1 + K)
        return kinds[:, :1] * self.encoder(images) + kinds[:, 1:] @ self.places

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images → (N, F) features: all that an API of an encoder answers."""
        return self.features(images)


def from_spec(spec: dict[str, Any], seed: int = 0) -> GatedEncoder:
    """The encoder another one's `spec` describes, to load its weights into."""
    encoder = build_from_spec(spec["encoder"], seed)
    gate = build_from_spec(spec["gate"], seed)
    return GatedEncoder(encoder, gate, torch.zeros(spec["gate"]["classes"] - 1, encoder.size))
