"""What a contest is held on: models watermarked with hidden keys, clean models, the adversary's images."""

import json
from copy import deepcopy
from dataclasses import asdict, dataclass, field

from torch import Tensor

from mea_lib.arena.hidden_keys import hidden_keys, keyed_hash
from mea_lib.arena.house import HOUSE_WATERMARK, extract, watermarked
from mea_lib.arena.rules import Rules
from mea_lib.blackbox import Oracle
from mea_lib.data import Data, ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.proof import KeyCheck, accuracy, check_key
from mea_lib.proof.commitment import PROCEDURE
from mea_lib.scale import Scale
from mea_lib.training import train_clean
from mea_lib.training.store import weights_digest

# A watermark leaks to keys of the same target and one of its sources, which is no fault of the defence.
DECOYS = "decoys that share no source class together with the target"


@dataclass(frozen=True)
class ContestModel:
    """One model of a contest.

    Attributes:
        name: under which results speak of it, such as "key 1", "surrogate 1" (of the first) or "clean 1".
        key: the hidden key it carries, or None. Never shown.
        model: as it is given to an entry: without its recipe, which would name the key.
        accuracy: of the model, from 0 to 1.
    """

    name: str
    key: WatermarkKey | None = field(repr=False)
    model: ImageClassifier = field(repr=False)
    accuracy: float


@dataclass(frozen=True)
class Contest:
    """A contest that is set up.

    Attributes:
        identity: 16 hexadecimal digits that differ for another secret, scale, data set or other rules; they tell
            nothing about the keys. Results of different contests do not belong on one table.
        rules: of the contest.
        scale: of the training.
        train: labelled images that a defence trains on.
        test: labelled images that no model was trained on; entries never get them.
        images: (M, C, H, W) uint8, the adversary's, without labels.
        watermarked: models with a hidden key each.
        surrogates: one of each of these in the same order, with its key; none where the rules have none.
        clean: models without.
        decoys: hidden keys of no model, and relatives of none that a model carries.
        checks: what null models say to each of the hidden keys.
        order: drawn from the secret; it decides in which order suspects are queried.
    """

    identity: str
    rules: Rules
    scale: Scale
    train: ImageSet = field(repr=False)
    test: ImageSet = field(repr=False)
    images: Tensor = field(repr=False)
    watermarked: tuple[ContestModel, ...]
    surrogates: tuple[ContestModel, ...]
    clean: tuple[ContestModel, ...]
    decoys: tuple[WatermarkKey, ...] = field(repr=False)
    checks: dict[WatermarkKey, KeyCheck] = field(repr=False)
    order: str = field(repr=False)


def set_up(secret: str, data: Data, scale: Scale, rules: Rules | None = None) -> Contest:
    """Draw the keys of a secret and train the contest's models, or find them in the store.

    A key that a forest on the pixels of the test images obeys is drawn anew (`check_key`): it would prove nothing.

    The models have the size of comparisons: `scale.ablation_images` for `scale.ablation_epochs` epochs. Their
    watermark is MEA-Defender, each embedded in a clean model of its own: no two models of a contest share weights that
    an entry could compare. Cards in the store name keys, so those who enter must not read it.

    Args:
        secret: of the judge, at least 16 characters.
        data: labelled images of the owner, test images, and the adversary's images.
        scale: of the training; every suspect is queried with its `verification_samples`.
        rules: of the contest.

    Raises:
        ValueError: for a short secret, too few classes for so many keys, or too few that null models do not obey.
    """
    rules = rules or Rules()
    checks: dict[WatermarkKey, KeyCheck] = {}

    def is_admissible(key: WatermarkKey) -> bool:
        if key not in checks:
            checks[key] = check_key(key, data.test, samples=scale.verification_samples)
        return checks[key].is_admissible

    def model(name: str, key: WatermarkKey | None, trained: ImageClassifier) -> ContestModel:
        return ContestModel(name, key, anonymous(trained), accuracy(Oracle(trained), data.test))

    classes = data.owner.classes
    keys = hidden_keys(secret, rules.keys, classes, is_admissible)

    def is_key_or_decoy(key: WatermarkKey) -> bool:
        is_stranger = not any(are_related(key, other) for other in keys)
        return key in keys or (is_stranger and is_admissible(key))

    drawn = hidden_keys(secret, rules.keys + rules.decoys, classes, is_key_or_decoy)
    train, images = data.owner.subset(scale.ablation_images or len(data.owner)), data.queries[: rules.images]
    settings = [asdict(rules), asdict(scale), data.owner.digest(), data.test.digest(), PROCEDURE, DECOYS]
    described = json.dumps([*settings, repr(HOUSE_WATERMARK)])
    carried = [(key, watermarked(HOUSE_WATERMARK, train, key, scale, seed)) for seed, key in enumerate(keys)]
    extracted = [(key, extract(victim, images, scale)) for key, victim in carried if rules.surrogates]
    return Contest(
        identity=keyed_hash(secret, "arena", described).hex()[:16],
        rules=rules,
        scale=scale,
        train=train,
        test=data.test,
        images=images,
        watermarked=tuple(model(f"key {number}", *one) for number, one in enumerate(carried, 1)),
        surrogates=tuple(model(f"surrogate {number}", *one) for number, one in enumerate(extracted, 1)),
        clean=tuple(
            model(f"clean {seed + 1}", None, train_clean(train, scale.ablation, seed=seed))
            for seed in range(rules.clean)
        ),
        decoys=drawn[rules.keys :],
        checks={key: checks[key] for key in drawn},
        order=keyed_hash(secret, "order").hex(),
    )


def are_related(one: WatermarkKey, other: WatermarkKey) -> bool:
    """Whether two keys have the same target and a source class in common."""
    return one.target == other.target and bool({*one.sources} & {*other.sources})


def anonymous(model: ImageClassifier) -> ImageClassifier:
    """The same model with weights of its own, and a card that knows these and not how they were made."""
    same = deepcopy(model)
    same.card = {"weights_sha256": weights_digest(model)}
    return same.eval()
