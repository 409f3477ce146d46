"""A second extraction: a fresh surrogate of the watermarked model, queried without a budget."""

from dataclasses import asdict

from torch import Tensor

from mea_lib.blackbox import Oracle
from mea_lib.extraction import distillation
from mea_lib.extraction.distillation import DistillationSettings
from mea_lib.models import ImageClassifier
from mea_lib.removal.changed_copy import made_from
from mea_lib.removal.own_images import own_images
from mea_lib.scale import Scale
from mea_lib.shaping_code import code_digest
from mea_lib.training import Store, TrainingSettings, adversary_settings


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
    """Distil the model into a surrogate with random weights: a second extraction, for a watermark to survive.

    A surrogate that is in the store is found by the model's weights and the images, without querying the
    model again.

    Args:
        model: a victim or a surrogate; it is not changed.
        images: (M, C, H, W) uint8; labels are not needed.
        scale: gives the adversary's training where it is not named.
        settings: temperature and weights of the distillation.
        training: how the surrogate is trained.
        network: of the surrogate; the model's own by default.
        width: channels of its first layer; the model's own by default.
        seed: of the surrogate's weights and of the order of images.
        store: where finished models are kept.

    Returns:
        The surrogate, in evaluation mode, with the weights of the one that `mea_lib.extraction.distillation`
        trains.

    Raises:
        ValueError: for images that do not suit the model, or a model that is no plain classifier.

    Source: Hinton, Vinyals and Dean (2015); as a removal Lukas et al., SoK: How Robust is Image Classification Deep
    Neural Network Watermarking? (S&P 2022).
    """
    settings = settings or DistillationSettings()
    training = (training or adversary_settings(scale)).but(seed=seed)
    student = {"network": network or model.spec["network"], "width": width or model.spec["width"]}

    def distil(teacher: ImageClassifier) -> ImageClassifier:
        options = {"settings": settings, "training": training, "seed": seed, "store": store}
        found = distillation.extract(Oracle(teacher), images, scale, **options, **student)
        found.history = found.card["history"]
        return found

    recipe = {
        "method": "distillation again",
        "module": __name__,
        "student_code": code_digest(distillation.__name__),
        "asked_code": code_digest(Oracle.__module__),
        "distillation": asdict(settings),
        "settings": training.to_dict(),
    }
    own = own_images(images, model, "soft")
    return made_from(model, distil, recipe | student | own.recipe(), scale=scale, store=store)
