"""How the contest's own models are made: a watermark in a clean model, and a surrogate of it."""

from torch import Tensor

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.removal import Redistil
from mea_lib.scale import Scale
from mea_lib.training import train_clean
from mea_lib.watermarks import MEADefender
from mea_lib.watermarks.base import Watermark

HOUSE_WATERMARK = MEADefender()
FIRST_SEED = 1_000  # of the clean models that watermarks begin with; none of them is a model of the contest


def watermarked(
    watermark: Watermark, train_set: ImageSet, key: WatermarkKey, scale: Scale, seed: int
) -> ImageClassifier:
    """Embed the watermark in a clean model of its own, which is trained first."""
    clean = train_clean(train_set, scale.ablation, seed=FIRST_SEED + seed)
    return watermark.embed(train_set, key, scale.ablation, seed=seed, pretrained=clean)


def extract(model: ImageClassifier, images: Tensor, scale: Scale) -> ImageClassifier:
    """Extract the model by distillation, in as many steps as the contest's models were trained for."""
    epochs = scale.ablation_epochs * (scale.ablation_images or scale.query_images) / len(images)
    return Redistil().remove(model, images, scale.adversary_but(epochs=max(1, round(epochs))))
