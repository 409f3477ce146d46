"""The rows of the study of detection: what each detector finds in a clean model, a victim, its surrogate and a patch.

The patch is there because a detector that never fires proves nothing. The `seconds` of a row are the detector's.
"""

import time
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from torch import Tensor

import mea_lib as mea
from benchmarks import owners
from mea_lib import proof
from mea_lib.data import watermark_samples, ways_to_mix
from mea_lib.detection import (
    ABS,
    STRIP,
    TRANSFORMS,
    CurvePoint,
    LocalOutlierFactor,
    NeuralCleanse,
    RandomMixing,
    SuspectedKey,
    robustness_curve,
)
from mea_lib.models import ImageClassifier
from mea_lib.watermarks import Patch, PatchKey, patch

PATCH = "patch"  # the model and its method
SEARCHED = 500  # clean images that triggers are looked for on
KNOWN = 4_000  # clean images of which one half is learnt by LOF, and the other sets its threshold
KNOWN_TO_STRIP, OVERLAYS, STRIPPED = 1_000, 50, 500
CHANGED = 4_000  # clean images that are changed
FALSE_POSITIVES = 0.025
COST = 3.0  # percentage points of accuracy
STRENGTHS = {
    "gaussian noise": (0.0, 0.01, 0.03, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3),
    "jpeg": (0, 30, 50, 70, 80, 85, 90, 95),
    "blur": (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5),
    "crop and resize": (0.0, 0.07, 0.14, 0.21, 0.29, 0.36),
}
# Of two classes in either order one of these is the arrangement of the owners' keys.
OWNERS_WAYS = ("left-right", "right-left")
OTHER_WAYS = tuple(way for way in ways_to_mix(held_out=True) if way not in OWNERS_WAYS)


def is_quick(scale: mea.Scale) -> bool:
    """Whether detectors hardly look, since the study is only to show that it runs."""
    return scale.name == "smoke"


def patch_key(key: str) -> PatchKey:
    """The patch that stands for this key's target class."""
    return PatchKey(owners.KEYS[key].target)


MODELS: dict[str, Callable[[mea.Data, mea.Scale, str, str, int], ImageClassifier]] = {
    "clean": lambda data, scale, method, key, seed: owners.clean_model(data, scale, seed),
    "victim": owners.victim,
    "surrogate": owners.surrogate,
    PATCH: lambda data, scale, method, key, seed: Patch().embed(data.owner, patch_key(key), scale, seed=seed),
}


@lru_cache(maxsize=1)
def suspect_of(
    data: mea.Data, scale: mea.Scale, method: str, key: str, seed: int, model: str
) -> ImageClassifier:
    """One of `MODELS`, kept for the next job, which is most often of the same model."""
    return MODELS[model](data, scale, method, key, seed)


def trigger_inputs(model: str, data: mea.Data, key: str, number: int) -> Tensor:
    """What a model's owner sends it: images with the patch, or combined ones, as to a clean model."""
    if model != PATCH:
        return watermark_samples(data.test, owners.KEYS[key], number)
    others = data.test.images[data.test.labels != data.test.class_index(patch_key(key).target)]
    return patch.stamp(others[:number], patch_key(key))


# Of a detector: the name of a model, the model, data, key, scale, seed → the figures of its row.
Detect = Callable[[str, ImageClassifier, mea.Data, str, mea.Scale, int], dict]


def _neural_cleanse(
    name: str, model: ImageClassifier, data: mea.Data, key: str, scale: mea.Scale, seed: int
) -> dict:
    cleansing = NeuralCleanse(rounds=2) if is_quick(scale) else NeuralCleanse()
    triggers = cleansing.detect(model, data.test.images[:SEARCHED], seed=seed)
    indices, target = triggers.signed_indices, data.test.class_index(owners.KEYS[key].target)
    return triggers.to_dict() | {
        "target_index": float(indices[target]),
        "largest_index": float(indices.max()),
        "flagged": [data.test.classes[number] for number in triggers.flagged_classes],
    }


def _abs(name: str, model: ImageClassifier, data: mea.Data, key: str, scale: mea.Scale, seed: int) -> dict:
    triggers = (ABS(steps=5) if is_quick(scale) else ABS()).detect(
        model, data.test.subset(SEARCHED), seed=seed
    )
    of_target = triggers.success[triggers.targets == data.test.class_index(owners.KEYS[key].target)]
    return {
        "candidates": len(triggers.success),
        "best_success": float(triggers.success.max()) if len(triggers.success) else 0.0,
        "best_success_of_the_target": float(of_target.max()) if len(of_target) else 0.0,
        "flagged": [data.test.classes[number] for number in triggers.flagged_classes],
    }


def _lof(name: str, model: ImageClassifier, data: mea.Data, key: str, scale: mea.Scale, seed: int) -> dict:
    samples = trigger_inputs(name, data, key, scale.verification_samples)
    detector = LocalOutlierFactor(FALSE_POSITIVES)
    return detector.detect(model, data.queries[:KNOWN], samples, data.test, seed=seed).to_dict()


def _strip(name: str, model: ImageClassifier, data: mea.Data, key: str, scale: mea.Scale, seed: int) -> dict:
    samples = trigger_inputs(name, data, key, STRIPPED)
    detector = STRIP(FALSE_POSITIVES, 5 if is_quick(scale) else OVERLAYS)
    some = data.test.subset(STRIPPED)
    return detector.detect(model, data.queries[:KNOWN_TO_STRIP], samples, some, seed=seed).to_dict()


def _preprocessing(
    name: str, model: ImageClassifier, data: mea.Data, key: str, scale: mea.Scale, seed: int
) -> dict:
    """By transform: the whole curve, and the point at the cost that is allowed."""
    samples = trigger_inputs(name, data, key, scale.verification_samples)
    few = data.test.subset(300 if is_quick(scale) else CHANGED)
    target = data.test.class_index(owners.KEYS[key].target)
    row = {}
    for change, strengths in STRENGTHS.items():
        curve = robustness_curve(mea.Oracle(model), few, samples, target, TRANSFORMS[change], strengths, seed)
        row[change] = {
            "unchanged": _point(curve.unchanged),
            "strengths": list(strengths),
            "accuracies": [point.accuracy for point in curve.points],
            "wsrs": [point.wsr for point in curve.points],
            "at_cost": _point(curve.at_cost(COST)),
        }
    return row


def _point(point: CurvePoint) -> dict:
    return {"strength": point.strength, "accuracy": point.accuracy, "wsr": point.wsr}


def _random_mixing(ways: tuple[str, ...]) -> Detect:
    def detect(
        name: str, model: ImageClassifier, data: mea.Data, key: str, scale: mea.Scale, seed: int
    ) -> dict:
        secret = owners.KEYS[key]
        mixing = RandomMixing(ways, samples=10) if is_quick(scale) else RandomMixing(ways)
        ranking = mixing.detect(mea.Oracle(model), data.test, seed=seed)
        of_pair = ranking.of(secret.sources)
        return {
            "queries": ranking.queries,
            "rank": ranking.rank(secret.sources),
            "prms": of_pair.score,
            "index": of_pair.index if np.isfinite(of_pair.index) else None,
            "third": of_pair.target,
            "way": of_pair.way,
            "stands_out": of_pair in ranking.standing_out(),
            "standing_out": [_pair(pair) for pair in ranking.standing_out()],
            "beyond_threshold": len(ranking.beyond(proof.PAPER_THRESHOLD)),
            "pairs": len(ranking.ranked),
            "median_prms": float(np.median([pair.score for pair in ranking.ranked])),
            "largest_of_others": max(pair.score for pair in ranking.ranked if pair is not of_pair),
        }

    return detect


def _pair(pair: SuspectedKey) -> str:
    return f"{pair.first} + {pair.second} → {pair.target}, {pair.way}: {pair.score:.2f}"


DETECTORS: dict[str, Detect] = {
    "Neural Cleanse": _neural_cleanse,
    "ABS": _abs,
    "LOF": _lof,
    "STRIP": _strip,
    "preprocessing": _preprocessing,
    "random mixing": _random_mixing(ways_to_mix(held_out=True)),
    "random mixing, not in the owner's way": _random_mixing(OTHER_WAYS),
}


def run_one(
    data: mea.Data, scale: mea.Scale, method: str, key: str, seed: int, model: str, detector: str
) -> dict:
    """One detector on one model of this seed."""
    suspect = suspect_of(data, scale, method, key, seed, model)
    started = time.perf_counter()
    figures = DETECTORS[detector](model, suspect, data, key, scale, seed)
    seconds = round(time.perf_counter() - started, 1)
    row = {"method": method, "key": key, "seed": seed, "model": model, "detector": detector}
    return row | figures | {"seconds": seconds}
