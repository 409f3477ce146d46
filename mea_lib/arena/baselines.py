"""Baselines: entries that every table can be read against, and the attacks that a defence must survive."""

from collections.abc import Callable

from torch import Tensor

from mea_lib.arena.house import HOUSE_WATERMARK, extract, watermarked
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.removal import FineTune, Prune, RelabelMixes
from mea_lib.scale import Scale
from mea_lib.training import train_clean
from mea_lib.watermarks import RunnerUp

PREFIX = "baseline:"  # of their names, which no other entry may have


def do_nothing(model: ImageClassifier, images: Tensor, scale: Scale) -> ImageClassifier:
    """Hand the model back as it is."""
    return model


def prune_most(model: ImageClassifier, images: Tensor, scale: Scale) -> ImageClassifier:
    """Cut 80 % of the weights, as the paper's Sec. V-E does, and train what is left."""
    return Prune(share=0.8).remove(model, images, scale)


def no_watermark(train_set: ImageSet, key: WatermarkKey, scale: Scale, seed: int) -> ImageClassifier:
    """Train without the key."""
    return train_clean(train_set, scale.ablation, seed=seed)


def mea_defender(train_set: ImageSet, key: WatermarkKey, scale: Scale, seed: int) -> ImageClassifier:
    """Embed the watermark that the contest's own models have."""
    return watermarked(HOUSE_WATERMARK, train_set, key, scale, seed)


def runner_up(train_set: ImageSet, key: WatermarkKey, scale: Scale, seed: int) -> ImageClassifier:
    """Embed this book's variant."""
    return watermarked(RunnerUp(share=0.4), train_set, key, scale, seed)


REMOVALS: dict[str, Callable[[ImageClassifier, Tensor, Scale], ImageClassifier]] = {
    f"{PREFIX} do nothing": do_nothing,
    f"{PREFIX} fine-tune": FineTune().remove,
    f"{PREFIX} prune 80 %, fine-tune": prune_most,
    f"{PREFIX} relabelled mixes": RelabelMixes().remove,
}
DEFENCES: dict[str, Callable[[ImageSet, WatermarkKey, Scale, int], ImageClassifier]] = {
    f"{PREFIX} no watermark": no_watermark,
    f"{PREFIX} MEA-Defender": mea_defender,
    f"{PREFIX} runner-up": runner_up,
}
ATTACKS: dict[str, Callable[[ImageClassifier, Tensor, Scale], ImageClassifier]] = {
    "fine-tune": FineTune().remove,
    "prune 80 %, fine-tune": prune_most,
    "relabelled mixes": RelabelMixes().remove,
    "extraction": extract,
}
