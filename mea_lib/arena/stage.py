"""What a contest is held on: models watermarked with hidden keys, clean models, the adversary's images."""

import json
from copy import deepcopy
from dataclasses import asdict, dataclass, field

from torch import Tensor

from mea_lib.arena.hidden_keys import hidden_keys, lot
from mea_lib.arena.rules import Rules
from mea_lib.blackbox import Oracle
from mea_lib.data import Data, ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.proof import KeyCheck, accuracy, check_key
from mea_lib.proof.commitment import PROCEDURE
from mea_lib.removal.base import weights_digest
from mea_lib.scale import Scale
from mea_lib.training import train_clean
from mea_lib.watermarks import RunnerUp


@dataclass(frozen=True)
class Exhibit:
    """One model of the arena.

    Attributes:
        name: under which results speak of it, such as "key 1" or "clean 1".
        key: the hidden key it carries, or None. Never shown.
        model: as it is given to an entry: without its recipe, which would name the key.
        accuracy: of the model, from 0 to 1.
    """

    name: str
    key: WatermarkKey | None = field(repr=False)
    model: ImageClassifier = field(repr=False)
    accuracy: float


@dataclass(frozen=True)
class Arena:
    """A contest that is set up.

    Attributes:
        identity: 16 hexadecimal digits that differ for another secret, scale, data set or other rules; they tell
            nothing about the keys. Results of different arenas do not belong on one table.
        rules: of the contest.
        scale: of the training.
        train: labelled images that a defence trains on.
        test: labelled images that no model was trained on; entries never get them.
        images: (M, C, H, W) uint8, the adversary's, without labels.
        marked: models with a hidden key each.
        clean: models without.
        decoys: hidden keys of no model.
        checks: what null models say to each of the hidden keys.
        order: drawn from the secret; it decides in which order suspects are asked.
    """

    identity: str
    rules: Rules
    scale: Scale
    train: ImageSet = field(repr=False)
    test: ImageSet = field(repr=False)
    images: Tensor = field(repr=False)
    marked: tuple[Exhibit, ...]
    clean: tuple[Exhibit, ...]
    decoys: tuple[WatermarkKey, ...] = field(repr=False)
    checks: dict[WatermarkKey, KeyCheck] = field(repr=False)
    order: str = field(repr=False)


def set_up(secret: str, data: Data, scale: Scale, rules: Rules | None = None) -> Arena:
    """Draw the keys of a secret and train the arena's models, or find them in the store.

    A key that a forest on the pixels of the test images obeys is drawn anew (`check_key`): it would prove nothing.

    The models have the size of comparisons: `scale.ablation_images` for `scale.ablation_epochs` epochs. Their
    watermark is this book's, `mea_lib.watermarks.RunnerUp`. Cards in the store name keys, so those who enter must not read it.

    Args:
        secret: of the judge, at least 16 characters.
        data: labelled images of the owner, test images, and the adversary's images.
        scale: of the training; its `verification_samples` are asked of every suspect.
        rules: of the contest.

    Raises:
        ValueError: for a short secret, too few classes for so many keys, or too few that null models do not obey.
    """
    rules = rules or Rules()
    checks: dict[WatermarkKey, KeyCheck] = {}

    def is_admissible(key: WatermarkKey) -> bool:
        checks[key] = check_key(key, data.test, samples=scale.verification_samples)
        return checks[key].is_admissible

    keys = hidden_keys(secret, rules.keys + rules.decoys, data.owner.classes, is_admissible)
    train = data.owner.subset(scale.ablation_images or len(data.owner))
    marked = [
        RunnerUp().embed(train, key, scale.ablation, seed=seed) for seed, key in enumerate(keys[: rules.keys])
    ]
    clean = [train_clean(train, scale.ablation, seed=seed) for seed in range(rules.clean)]
    described = json.dumps([asdict(rules), asdict(scale), data.owner.digest(), data.test.digest(), PROCEDURE])
    return Arena(
        identity=lot(secret, "arena", described).hex()[:16],
        rules=rules,
        scale=scale,
        train=train,
        test=data.test,
        images=data.queries[: rules.images],
        marked=tuple(
            _exhibit(f"key {number}", key, model, data.test)
            for number, (key, model) in enumerate(zip(keys, marked, strict=False), 1)
        ),
        clean=tuple(
            _exhibit(f"clean {number}", None, model, data.test) for number, model in enumerate(clean, 1)
        ),
        decoys=keys[rules.keys :],
        checks={key: checks[key] for key in keys},
        order=lot(secret, "order").hex(),
    )


def anonymous(model: ImageClassifier) -> ImageClassifier:
    """The same model with weights of its own, and a card that knows these and not how they were made."""
    copy = deepcopy(model)
    copy.card = {"weights_sha256": weights_digest(model)}
    return copy.eval()


def _exhibit(name: str, key: WatermarkKey | None, model: ImageClassifier, test: ImageSet) -> Exhibit:
    return Exhibit(name, key, anonymous(model), accuracy(Oracle(model), test))
