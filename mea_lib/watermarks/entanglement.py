"""How entangled two groups of images are inside a network: the soft nearest neighbour loss of several layers."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from mea_lib.losses import soft_nearest_neighbor_loss
from mea_lib.losses.soft_nearest_neighbor import NEIGHBOUR_DISTANCES
from mea_lib.models import ImageClassifier
from mea_lib.watermarks.layer_outputs import layers_with_weights, outputs_of_layers


@dataclass(frozen=True)
class Entanglement:
    """Which layers are looked at, and how.

    Attributes:
        layers: how many of the last layers of the network's body that hold weights.
        distance: of `mea_lib.losses.soft_nearest_neighbor_loss`.
        temperature: T of every layer, to begin with.
    """

    layers: int = 3
    distance: str = "cosine"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.layers < 1 or self.temperature <= 0:
            raise ValueError(
                "layers must be at least 1 and the temperature above 0, "
                f"not {self.layers} and {self.temperature}"
            )
        if self.distance not in NEIGHBOUR_DISTANCES:
            raise ValueError(
                f"unknown distance {self.distance!r}; choose one of: {', '.join(NEIGHBOUR_DISTANCES)}"
            )

    def temperatures(self, device: torch.device) -> Tensor:
        """(layers,) those to begin with."""
        return torch.full((self.layers,), self.temperature, device=device)

    def measure(
        self,
        model: ImageClassifier,
        first: Tensor,
        second: Tensor,
        temperatures: Tensor,
        beside: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Both groups in one forward pass.

        Args:
            model: in whatever mode it is to run.
            first: (N, C, H, W) images, two or more.
            second: (M, C, H, W) the same, and in the same range.
            temperatures: (layers,).
            beside: (L, C, H, W) further images of the same pass, whose outputs are not looked at.

        Returns:
            (N + M, K) logits and (layers,) losses; a larger loss is more entangled.
        """
        groups = torch.arange(len(first) + len(second), device=first.device) < len(first)
        images = torch.cat([first, second] if beside is None else [first, second, beside])
        logits, features = logits_and_features(model, images, self.layers)
        losses = [
            soft_nearest_neighbor_loss(one[: len(groups)], groups, temperature, self.distance)
            for one, temperature in zip(features, temperatures, strict=True)
        ]
        return logits[: len(groups)], torch.stack(losses)


def logits_and_features(
    model: ImageClassifier, images: Tensor, layers: int
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """A network's answers, and what its last layers made of the images on the way.

    Args:
        model: its body is a sequence of layers.
        images: (N, C, H, W).
        layers: how many of the last that hold weights.

    Returns:
        (N, K) logits, and a tensor (N, ...) for each layer, the deepest last, after the ReLU.

    Raises:
        ValueError: for a body with fewer layers.
    """
    with_weights = layers_with_weights(model)
    if len(with_weights) < layers:
        raise ValueError(f"the network has {len(with_weights)} layers with weights, not {layers}; take fewer")
    with outputs_of_layers(with_weights[-layers:]) as found:
        logits = model(images)
    # A layer whose ReLU stands after it in the body gives what goes into that; one that has its own is left as it is.
    return logits, tuple(F.relu(output) for output in found)
