"""An entry's arguments as values that another process can be sent: arrays and bytes in place of torch's tensors."""

from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier, build_from_spec
from mea_lib.scale import Scale
from mea_lib.training import best_device
from mea_lib.training.store import packed_weights


def pack_removal(model: ImageClassifier, images: Tensor, scale: Scale) -> tuple[Any, ...]:
    """The arguments of a removal, for `unpack_removal`."""
    return packed_weights(model), model.spec, images.cpu().numpy(), scale


def unpack_removal(
    weights: bytes, spec: dict, images: np.ndarray, scale: Scale
) -> tuple[ImageClassifier, Tensor, Scale]:
    """The arguments of a removal, on the device that is best here."""
    device = best_device()
    model = build_from_spec(spec)
    model.load_state_dict(load(weights))
    return model.to(device).eval(), torch.from_numpy(images).to(device), scale


def pack_defence(train_set: ImageSet, key: WatermarkKey, scale: Scale, seed: int) -> tuple[Any, ...]:
    """The arguments of a defence, for `unpack_defence`."""
    images, labels = train_set.images.cpu().numpy(), train_set.labels.cpu().numpy()
    return images, labels, train_set.classes, train_set.name, key.to_json(), scale, seed


def unpack_defence(
    images: np.ndarray,
    labels: np.ndarray,
    classes: tuple[str, ...],
    name: str,
    key: str,
    scale: Scale,
    seed: int,
) -> tuple[ImageSet, WatermarkKey, Scale, int]:
    """The arguments of a defence, on the device that is best here."""
    train_set = ImageSet(torch.from_numpy(images), torch.from_numpy(labels), classes, name).to(best_device())
    return train_set, WatermarkKey.from_json(key), scale, seed
