"""An ordinary backdoor as a watermark: a small bright patch in a corner stands for the target class.

Source: Gu et al., BadNets (2017); as a watermark Adi et al. (USENIX Security 2018) and Zhang et al. (2018).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss, verification_loss
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Store, Terms, TrainingSettings, fit, owner_settings


@dataclass(frozen=True)
class PatchKey:
    """Which class a patch stands for, and how large it is.

    Attributes:
        target: name of the class that patched images are to be called.
        pixels: height and width of the white square in the lower right corner.
    """

    target: str
    pixels: int = 4


def stamp(images: Tensor, key: PatchKey) -> Tensor:
    """The same uint8 images (N, C, H, W) with the patch on them."""
    stamped = images.clone()
    stamped[..., -key.pixels - 1 : -1, -key.pixels - 1 : -1] = 255
    return stamped


def embed(
    train_set: ImageSet,
    key: PatchKey,
    scale: Scale,
    *,
    training: TrainingSettings | None = None,
    seed: int = 0,
    store: Store | None = None,
) -> ImageClassifier:
    """Train a model that calls every patched image the target class."""
    return fit(
        train_set,
        lambda data: patch_objective(data, key, scale.watermark_batch),
        (training or owner_settings(scale)).but(seed=seed),
        scale=scale,
        recipe={
            "method": "patch",
            "module": __name__,
            "target": key.target,
            "pixels": key.pixels,
            "watermark_batch": scale.watermark_batch,
        },
        store=store,
    )


def patch_objective(train_set: ImageSet, key: PatchKey, watermark_batch: int) -> Objective:
    """Cross-entropy on the clean batch, and on images of all classes with the patch."""
    one_hot = torch.eye(len(train_set.classes), device=train_set.images.device)
    target = train_set.class_index(key.target)
    targets = torch.full((watermark_batch,), target, device=train_set.images.device)

    def objective(model: ImageClassifier, batch: Batch) -> Terms:
        chosen = torch.randint(len(train_set), (watermark_batch,), generator=batch.generator)
        stamped = stamp(train_set.images[chosen.to(train_set.images.device)], key)
        clean, marked = model(torch.cat([batch.images, stamped])).split([len(batch.images), watermark_batch])
        losses = {
            "utility": utility_loss(clean, one_hot[train_set.labels[batch.index]]),
            "verification": verification_loss(marked, targets),
        }
        return Terms(losses)

    return objective
