"""Stealing the stolen: a fresh student of the marked model, asked without a budget."""

from copy import deepcopy

from torch import Tensor

from mea_lib.blackbox import Oracle
from mea_lib.extraction import distillation
from mea_lib.extraction.distillation import DistillationSettings
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import Store, TrainingSettings


def remove(
    model: ImageClassifier,
    images: Tensor,
    scale: Scale,
    *,
    settings: DistillationSettings | None = None,
    training: TrainingSettings | None = None,
    network: str | None = None,
    width: int | None = None,
    seed: int = 0,
    store: Store | None = None,
) -> ImageClassifier:
    """Distil the model into a student with random weights: a second extraction, after which a mark has to be read.

    Args:
        model: a victim or a copy; it is not changed.
        images: (M, C, H, W) uint8; labels are not needed.
        scale: gives the thief's training where it is not named.
        settings: temperature and weights of the distillation.
        training: how the student is trained.
        network: of the student; the model's own by default.
        width: channels of its first layer; the model's own by default.
        seed: of the student's weights and of the order of images.
        store: where finished models are kept.

    Returns:
        The student, in evaluation mode; it is the one that `mea_lib.extraction.distillation` finds or trains.

    Source: Hinton, Vinyals and Dean (2015); as a removal Lukas et al., SoK: How Robust is Image Classification Deep
    Neural Network Watermarking? (S&P 2022).
    """
    return distillation.extract(
        Oracle(deepcopy(model)),
        images,
        scale,
        settings=settings,
        training=training,
        network=network or model.spec["network"],
        width=width or model.spec["width"],
        seed=seed,
        store=store,
    )
