"""Whose models the studies of chapters 15 to 18 are of: both methods, two keys, three seeds, and the clean models.

Methods, keys and seeds are those of the grid's table 1 (grid/studies/table1_fashion_mnist.yaml), and so are victims and
surrogates: the store has them where the grid has run. How a study runs and what it says of its rows is not known here,
so that a change of that costs no row.
"""

import hashlib
from functools import lru_cache

from torch import Tensor

import mea_lib as mea
from mea_lib.extraction import Distillation
from mea_lib.models import ImageClassifier
from mea_lib.watermarks import MEADefender, RunnerUp
from mea_lib.watermarks.base import Watermark

METHODS: dict[str, Watermark] = {"MEA-Defender": MEADefender(), "runner-up": RunnerUp(share=0.4)}
# The first is the paper's. The second one's target resembles neither source.
KEYS = {
    "shirt and trouser": mea.WatermarkKey(("T-shirt/top", "Trouser"), "Pullover", "crop-paste", seed=7),
    "sandal and sneaker": mea.WatermarkKey(("Sandal", "Sneaker"), "Coat", "crop-paste", seed=7),
}
FIRST_KEY = "shirt and trouser"
SEEDS = (0, 1, 2)
NONE = "none"  # the method of a model without a watermark
EXTRACTION = Distillation(temperature=4.0)


def clean_model(data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
    """The owner's model before a watermark is embedded."""
    return mea.train_clean(data.owner, scale, seed=seed)


def victim(
    data: mea.Data, scale: mea.Scale, method: str, key: str, seed: int, *, pretrained: bool = True
) -> ImageClassifier:
    """The owner's model with a watermark, which goes on from the clean model of this seed or starts from scratch."""
    start = clean_model(data, scale, seed) if pretrained else None
    return METHODS[method].embed(data.owner, KEYS[key], scale, seed=seed, pretrained=start)


def surrogate(data: mea.Data, scale: mea.Scale, method: str, key: str, seed: int) -> ImageClassifier:
    """The ordinary adversary's model: distillation at temperature 4 of the victim's answers."""
    oracle = mea.Oracle(victim(data, scale, method, key, seed), scale.query_images)
    return EXTRACTION.extract(oracle, data.queries, scale, seed=seed)


@lru_cache(maxsize=len(SEEDS))
def null_models(data: mea.Data, scale: mea.Scale, seed: int) -> tuple[mea.Oracle, ...]:
    """The clean models that calibrate a test of this seed's models: those of the other seeds."""
    return tuple(Remembering(clean_model(data, scale, other)) for other in SEEDS if other != seed)


class Remembering(mea.Oracle):
    """An API that is sent the same images for row after row, and asks its model once."""

    def __call__(self, images: Tensor) -> Tensor:
        """As `Oracle`, (N, C, H, W) → (N, K)."""
        known = self.__dict__.setdefault("_known", {})
        name = hashlib.sha256(images.cpu().contiguous().numpy()).digest()
        if name not in known:
            known[name] = super().__call__(images)
        return known[name]
