"""SSLGuard's key tuple: what turns an image into a query, and what reads a secret vector out of the answer."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mea_lib.seeded import seeded

HIDDEN = (512, 256)  # of the decoder


class KeyTuple(nn.Module):
    """Verification images, mask and trigger on one side; decoder and secret vector on the other.

    Args:
        images: (N, C, H, W) uint8, the verification images.
        mask: (C, H, W) bool, which pixel values are the trigger's.
        trigger: (C, H, W) in [0, 1].
        secret: (L,) the secret vector.
        features: F, of the encoders that it reads.
        seed: of the decoder's weights; the global random state is left as it was.

    Source: Cong, He and Zhang, SSLGuard (CCS 2022); layers of the decoder as in its released code.
    """

    def __init__(
        self, images: Tensor, mask: Tensor, trigger: Tensor, secret: Tensor, *, features: int, seed: int = 0
    ) -> None:
        super().__init__()
        self.register_buffer("images", images)
        self.register_buffer("mask", mask)
        self.register_buffer("secret", secret)
        self.trigger = nn.Parameter(trigger)
        with seeded(seed):
            self.decoder = nn.Sequential(
                nn.Linear(features, HIDDEN[0]),
                nn.ReLU(),
                nn.Linear(HIDDEN[0], HIDDEN[1]),
                nn.ReLU(),
                nn.Linear(HIDDEN[1], len(secret)),
            )
        self.spec: dict[str, Any] = {
            "images": list(images.shape),
            "length": len(secret),
            "features": features,
        }
        self.card: dict[str, Any] = {}

    def triggered(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 images → floats in [0, 1] with the trigger's values where the mask is."""
        return torch.where(self.mask, self.trigger, images.float() / 255).clamp(0, 1)

    @torch.no_grad()
    def queries(self, images: Tensor | None = None) -> Tensor:
        """What a suspect is sent: (N, C, H, W) uint8 images with the trigger; without any, the verification images."""
        chosen = self.images if images is None else images.to(self.images.device)
        return self.triggered(chosen).mul(255).round().to(torch.uint8)

    def decode(self, features: Tensor) -> Tensor:
        """(N, F) features → (N, L) in float32."""
        return self.decoder(features).float()

    @torch.no_grad()
    def cosines(self, features: Tensor) -> Tensor:
        """(N, F) features → (N,) cosines between what they are decoded to and the secret vector, on their device."""
        decoded = self.decode(features.to(self.secret.device).float())
        return F.cosine_similarity(decoded, self.secret[None], dim=1).to(features.device)


def from_spec(spec: dict[str, Any], seed: int = 0) -> KeyTuple:
    """The key tuple another one's `spec` describes, to load its numbers into."""
    shape = spec["images"][1:]
    images, mask = torch.zeros(spec["images"], dtype=torch.uint8), torch.zeros(shape, dtype=torch.bool)
    secret = torch.zeros(spec["length"])
    return KeyTuple(images, mask, torch.zeros(shape), secret, features=spec["features"], seed=seed)
