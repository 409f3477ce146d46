"""A second extraction: a fresh surrogate of the watermarked model, queried without a budget."""

from dataclasses import dataclass, field

from torch import Tensor

from mea_lib.blackbox import Oracle
from mea_lib.data import ImageSet
from mea_lib.extraction import Distillation
from mea_lib.models import ImageClassifier
from mea_lib.removal.base import Removal, check_is_plain, copy_of
from mea_lib.removal.own_images import own_images
from mea_lib.scale import Scale
from mea_lib.shaping_code import code_digest
from mea_lib.training import find_or_make
from mea_lib.training.store import weights_digest


@dataclass(frozen=True)
class Redistil(Removal):
    """The model distilled into a surrogate with random weights, of the scale's network: for a watermark to survive.

    A surrogate that is in the store is found by the model's weights and the images, without querying the
    model again. Its weights are those of the one that `Distillation` trains.

    Attributes:
        distillation: temperature and weights of the distillation.

    Source: Hinton, Vinyals and Dean (2015); as a removal Lukas et al., SoK: How Robust is Image Classification Deep
    Neural Network Watermarking? (S&P 2022).
    """

    distillation: Distillation = field(default_factory=Distillation)

    def remove(
        self, model: ImageClassifier, images: ImageSet | Tensor, scale: Scale, *, seed: int = 0
    ) -> ImageClassifier:
        """As `Removal.remove`; labels are not looked at."""
        check_is_plain(model)
        at_hand = own_images(images.images if isinstance(images, ImageSet) else images, model, "soft")
        recipe = self.recipe(
            scale,
            model=weights_digest(model),
            spec=model.spec,
            images=at_hand.recipe(),
            network=scale.network,
            width=scale.width,
            training=scale.adversary.but(seed=seed),
            distillation_code=code_digest(self.distillation.module()),
            oracle_code=code_digest(Oracle.__module__),
        )

        def make() -> ImageClassifier:
            surrogate = self.distillation.extract(
                Oracle(copy_of(model)), at_hand.data.images, scale, seed=seed
            )
            surrogate.history = surrogate.card["history"]
            return surrogate

        return find_or_make(recipe, make)
