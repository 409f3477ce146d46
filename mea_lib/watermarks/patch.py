"""An ordinary backdoor as a watermark: a small bright patch in a corner stands for the target class."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss, verification_loss
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Terms
from mea_lib.watermarks.base import Watermark


@dataclass(frozen=True)
class PatchKey:
    """Which class a patch stands for, and how large it is.

    Attributes:
        target: name of the class that patched images are to be called.
        pixels: height and width of the white square in the lower right corner, one pixel away from both edges.
    """

    target: str
    pixels: int = 4

    def __post_init__(self) -> None:
        if self.pixels < 1:
            raise ValueError(f"a patch has at least 1 pixel a side, not {self.pixels}")


@dataclass(frozen=True)
class PatchedSamples:
    """Draws images of all classes with the patch on them.

    Attributes:
        train_set: the owner's images.
        key: the patch.
        number: images in a step.
    """

    train_set: ImageSet
    key: PatchKey
    number: int

    def draw(self, generator: torch.Generator) -> Tensor:
        """(number, C, H, W) uint8."""
        chosen = torch.randint(len(self.train_set), (self.number,), generator=generator)
        return stamp(self.train_set.images[chosen.to(self.train_set.images.device)], self.key)


@dataclass(frozen=True)
class Patch(Watermark):
    """A model that calls every patched image the target class; its key is a `PatchKey`.

    Source: Gu et al., BadNets (2017); as a watermark Adi et al. (USENIX Security 2018) and Zhang et al. (2018).
    """

    def extras(self, train_set: ImageSet, key: PatchKey, scale: Scale) -> PatchedSamples:
        """What a step trains on beside the clean batch."""
        return PatchedSamples(train_set, key, scale.watermark_batch)

    def objective(self, train_set: ImageSet, extras: PatchedSamples) -> Objective:
        """Cross-entropy on the clean batch, and on images of all classes with the patch."""
        one_hot = torch.eye(len(train_set.classes), device=train_set.images.device)
        target = train_set.class_index(extras.key.target)
        targets = torch.full((extras.number,), target, device=train_set.images.device)

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            parts = [batch.images, extras.draw(batch.generator)]
            clean, marked = model(torch.cat(parts)).split([len(part) for part in parts])
            losses = {
                "utility": utility_loss(clean, one_hot[train_set.labels[batch.index]]),
                "verification": verification_loss(marked, targets),
            }
            return Terms(losses)

        return objective


def stamp(images: Tensor, key: PatchKey) -> Tensor:
    """The same uint8 images (N, C, H, W) with the patch on them.

    Raises:
        ValueError: where the patch is larger than the images.
    """
    if key.pixels >= min(images.shape[-2:]):
        raise ValueError(
            f"a patch of {key.pixels} pixels a side does not fit into images of "
            f"{images.shape[-2]} x {images.shape[-1]}; take a smaller one"
        )
    stamped = images.clone()
    stamped[..., -key.pixels - 1 : -1, -key.pixels - 1 : -1] = 255
    return stamped
