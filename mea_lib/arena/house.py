"""The house's own entries: what every table can be read against, and the attacks that a defence must survive."""

from collections.abc import Callable

from torch import Tensor

from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.removal import finetune, prune, redistil, relabel_mixes
from mea_lib.removal.prune import PruneSettings
from mea_lib.scale import Scale
from mea_lib.training import ablation_settings, adversary_settings, train_clean
from mea_lib.watermarks import runner_up


def do_nothing(model: ImageClassifier, images: Tensor, scale: Scale) -> ImageClassifier:
    """Hand the model back as it is."""
    return model


def prune_most(model: ImageClassifier, images: Tensor, scale: Scale) -> ImageClassifier:
    """Cut 80 % of the weights, as the paper's Sec. V-E does, and train what is left."""
    return prune.remove(model, images, scale, settings=PruneSettings(share=0.8))


def extract(model: ImageClassifier, images: Tensor, scale: Scale) -> ImageClassifier:
    """Extract the model by distillation, in as many steps as the arena's models were trained for."""
    passes = scale.ablation_epochs * (scale.ablation_images or scale.query_images) / len(images)
    training = adversary_settings(scale).but(epochs=max(1, round(passes)))
    return redistil.remove(model, images, scale, training=training)


def no_mark(train_set: ImageSet, key: WatermarkKey, scale: Scale, seed: int) -> ImageClassifier:
    """Train without the key."""
    return train_clean(train_set, scale, settings=ablation_settings(scale), seed=seed)


def runner_up_mark(train_set: ImageSet, key: WatermarkKey, scale: Scale, seed: int) -> ImageClassifier:
    """Embed this book's watermark."""
    return runner_up.embed(train_set, key, scale, training=ablation_settings(scale), seed=seed)


REMOVALS: dict[str, Callable[[ImageClassifier, Tensor, Scale], ImageClassifier]] = {
    "house: do nothing": do_nothing,
    "house: fine-tune": finetune.remove,
    "house: prune 80 %, fine-tune": prune_most,
    "house: relabelled mixes": relabel_mixes.remove,
}
DEFENCES: dict[str, Callable[[ImageSet, WatermarkKey, Scale, int], ImageClassifier]] = {
    "house: no mark": no_mark,
    "house: runner-up": runner_up_mark,
}
ATTACKS: dict[str, Callable[[ImageClassifier, Tensor, Scale], ImageClassifier]] = {
    "fine-tune": finetune.remove,
    "prune 80 %, fine-tune": prune_most,
    "relabelled mixes": relabel_mixes.remove,
    "extraction": extract,
}
