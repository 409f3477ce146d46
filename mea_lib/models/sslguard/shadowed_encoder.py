"""What SSLGuard trains at once: the encoder that is to be sold, a shadow encoder that steals it, the key tuple."""

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mea_lib.models.encoder import Encoder
from mea_lib.models.encoder import from_spec as encoder_from_spec
from mea_lib.models.sslguard.key_tuple import KeyTuple
from mea_lib.models.sslguard.key_tuple import from_spec as key_tuple_from_spec

NORMALISATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)


class ShadowedEncoder(nn.Module):
    """A clean encoder, how its parameters move to make the watermarked one, its shadow encoder and its key tuple.

    The watermarked encoder's parameters are the clean ones + rate · moves. An optimiser of Adam's kind takes steps of one
    size, so the moves are learnt at the rate of everything else, and the encoder at so small a share of it. Its batch
    normalisation stays as it is, with its statistics, and it always answers as in evaluation mode: few of the images of a
    step are like those of its users. Projection heads take no part.

    Args:
        clean: the encoder to begin with; it is copied.
        shadow: another network of as many features.
        key_tuple: reads both.
        rate: above 0.
    """

    def __init__(self, clean: Encoder, shadow: Encoder, key_tuple: KeyTuple, rate: float) -> None:
        super().__init__()
        self.clean = deepcopy(clean).eval().requires_grad_(False)
        self.shadow = shadow
        self.shadow.projection.requires_grad_(False)
        self.key_tuple = key_tuple
        self.rate = rate
        self.moving = [
            f"network.{place}.{name}" if place else f"network.{name}"
            for place, layer in clean.network.named_modules()
            if not isinstance(layer, NORMALISATIONS)
            for name, _ in layer.named_parameters(recurse=False)
        ]
        starts = dict(self.clean.named_parameters())
        # Rows of numbers: an optimiser for kernels would bring each to a length of its own.
        self.moves = nn.ParameterList([torch.zeros(starts[name].numel()) for name in self.moving])
        self.spec: dict[str, Any] = {
            "kind": "sslguard",
            "clean": clean.spec,
            "shadow": shadow.spec,
            "key_tuple": key_tuple.spec,
            "rate": rate,
        }
        self.card: dict[str, Any] = {}

    def train(self, mode: bool = True) -> "ShadowedEncoder":
        """Shadow encoder and key tuple go into this mode, the clean encoder stays in evaluation mode."""
        super().train(mode)
        self.clean.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) images → (N, F) features of the watermarked encoder."""
        return functional_call(self.clean, self._moved(), (images,))

    def shadow_without_gradient(self, images: Tensor) -> Tensor:
        """(N, F) features of the shadow encoder in evaluation mode; their gradient reaches the images alone."""
        was_training = self.shadow.training
        constants = {name: one.detach() for name, one in self.shadow.named_parameters()}
        features = functional_call(self.shadow.eval(), constants, (images,))
        self.shadow.train(was_training)
        return features

    @torch.no_grad()
    def watermarked(self) -> Encoder:
        """The watermarked encoder by itself, like any other."""
        encoder = deepcopy(self.clean).requires_grad_(True)
        encoder.load_state_dict(encoder.state_dict() | self._moved())
        return encoder

    def _moved(self) -> dict[str, Tensor]:
        """The watermarked encoder's own parameters, by name."""
        starts = dict(self.clean.named_parameters())
        return {
            name: starts[name] + self.rate * move.view_as(starts[name])
            for name, move in zip(self.moving, self.moves, strict=True)
        }


def from_spec(spec: dict[str, Any], seed: int = 0) -> ShadowedEncoder:
    """The model another one's `spec` describes, to load its weights into."""
    clean, shadow = (encoder_from_spec(spec[name], seed) for name in ("clean", "shadow"))
    return ShadowedEncoder(clean, shadow, key_tuple_from_spec(spec["key_tuple"], seed), spec["rate"])
