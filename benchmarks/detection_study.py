"""Detectors against a clean model, a victim, its surrogate and a patch backdoor: what each finds, over seeds.

The patch is there because a detector that never fires proves nothing. `make study STUDY=detection_study` writes
results/detection_study.json; see `benchmarks.study` for two cores and interruptions. The `seconds` of a row are the
detector's.
"""

import time
from collections.abc import Callable

import numpy as np
from torch import Tensor

import mea_lib as mea
from benchmarks.study import KEY, SEEDS, run
from mea_lib import proof
from mea_lib.data import watermark_samples
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
from mea_lib.extraction import Distillation
from mea_lib.models import ImageClassifier
from mea_lib.watermarks import Patch, PatchKey, RunnerUp, patch

PATCH = PatchKey(KEY.target)
SEARCHED = 500  # clean images that triggers are looked for on
KNOWN = 4_000  # clean images of which one half is learnt by LOF, and the other sets its threshold
KNOWN_TO_STRIP, OVERLAYS, STRIPPED = 1_000, 50, 500
CHANGED = 4_000  # clean images that are changed
FALSE_POSITIVES = 0.025
COST = 3.0  # percentage points of accuracy
STRENGTHS = {
    "gaussian noise": (0.01, 0.03, 0.05, 0.06, 0.07, 0.08, 0.1, 0.12, 0.15, 0.2, 0.3),
    "jpeg": (0, 30, 50, 70, 80, 85, 90, 95),
    "blur": (0.2, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.5),
    "crop and resize": (0.0, 0.07, 0.14, 0.21, 0.29, 0.36),
}


def _victim(data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
    return RunnerUp().embed(data.owner, KEY, scale, seed=seed)


def _surrogate(data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
    oracle = mea.Oracle(_victim(data, scale, seed), scale.query_images)
    return Distillation().extract(oracle, data.queries, scale, seed=seed)


MODELS: dict[str, Callable[[mea.Data, mea.Scale, int], ImageClassifier]] = {
    "clean": lambda data, scale, seed: mea.train_clean(data.owner, scale, seed=seed),
    "victim": _victim,
    "copy": _surrogate,
    "patch": lambda data, scale, seed: Patch().embed(data.owner, PATCH, scale, seed=seed),
}


def trigger_inputs(model: str, data: mea.Data, number: int) -> Tensor:
    """What a model's owner sends it: images with the patch, or combined ones, as to a clean model."""
    if model != "patch":
        return watermark_samples(data.test, KEY, number)
    others = data.test.images[data.test.labels != data.test.class_index(PATCH.target)]
    return patch.stamp(others[:number], PATCH)


def _neural_cleanse(name: str, model: ImageClassifier, data: mea.Data, scale: mea.Scale, seed: int) -> dict:
    triggers = NeuralCleanse().detect(model, data.test.images[:SEARCHED], seed=seed)
    return triggers.to_dict() | {
        "target_index": float(triggers.signed_indices[data.test.class_index(KEY.target)]),
        "flagged": [data.test.classes[number] for number in triggers.flagged_classes],
    }


def _abs(name: str, model: ImageClassifier, data: mea.Data, scale: mea.Scale, seed: int) -> dict:
    triggers = ABS().detect(model, data.test.subset(SEARCHED), seed=seed)
    of_target = triggers.success[triggers.targets == data.test.class_index(KEY.target)]
    return {
        "candidates": len(triggers.success),
        "best_success": float(triggers.success.max()) if len(triggers.success) else 0.0,
        "best_success_of_the_target": float(of_target.max()) if len(of_target) else 0.0,
        "flagged": [data.test.classes[number] for number in triggers.flagged_classes],
    }


def _lof(name: str, model: ImageClassifier, data: mea.Data, scale: mea.Scale, seed: int) -> dict:
    samples = trigger_inputs(name, data, scale.verification_samples)
    screening = LocalOutlierFactor(FALSE_POSITIVES).detect(
        model, data.queries[:KNOWN], samples, data.test, seed=seed
    )
    return screening.to_dict()


def _strip(name: str, model: ImageClassifier, data: mea.Data, scale: mea.Scale, seed: int) -> dict:
    samples = trigger_inputs(name, data, STRIPPED)
    screening = STRIP(FALSE_POSITIVES, OVERLAYS).detect(
        model, data.queries[:KNOWN_TO_STRIP], samples, data.test.subset(STRIPPED), seed=seed
    )
    return screening.to_dict()


def _preprocessing(name: str, model: ImageClassifier, data: mea.Data, scale: mea.Scale, seed: int) -> dict:
    """By transform: the whole curve, and the point at the cost that is allowed."""
    samples = trigger_inputs(name, data, scale.verification_samples)
    few, target = data.test.subset(min(CHANGED, len(data.test))), data.test.class_index(KEY.target)
    row = {}
    for change, strengths in STRENGTHS.items():
        curve = robustness_curve(mea.Oracle(model), few, samples, target, TRANSFORMS[change], strengths, seed)
        row[change] = {
            "unchanged": _point(curve.unchanged),
            "strengths": list(strengths),
            "accuracies": [point.accuracy for point in curve.points],
            "marks": [point.wsr for point in curve.points],
            "at_cost": _point(curve.at_cost(COST)),
        }
    return row


def _point(point: CurvePoint) -> dict:
    return {"strength": point.strength, "accuracy": point.accuracy, "mark": point.wsr}


def _random_mixing(name: str, model: ImageClassifier, data: mea.Data, scale: mea.Scale, seed: int) -> dict:
    ranking = RandomMixing().detect(mea.Oracle(model), data.test, seed=seed)
    of_pair = ranking.of(KEY.sources)
    return {
        "rank": ranking.rank(KEY.sources),
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


def _pair(pair: SuspectedKey) -> str:
    return f"{pair.first} + {pair.second} → {pair.target}, {pair.way}: {pair.score:.2f}"


DETECTORS: dict[str, Callable[[str, ImageClassifier, mea.Data, mea.Scale, int], dict]] = {
    "Neural Cleanse": _neural_cleanse,
    "ABS": _abs,
    "LOF": _lof,
    "STRIP": _strip,
    "preprocessing": _preprocessing,
    "random mixing": _random_mixing,
}


def run_one(data: mea.Data, scale: mea.Scale, model: str, detector: str, seed: int) -> dict:
    """One detector on one model of this seed."""
    suspect = MODELS[model](data, scale, seed)
    started = time.perf_counter()
    figures = DETECTORS[detector](model, suspect, data, scale, seed)
    seconds = time.perf_counter() - started
    return {"model": model, "detector": detector, "seed": seed} | figures | {"seconds": round(seconds, 1)}


def jobs() -> list[tuple[str, str, int]]:
    """Every detector on every model, seed by seed, so that an early look is at all cases."""
    return [(model, detector, seed) for seed in SEEDS for model in MODELS for detector in DETECTORS]


def settings() -> dict:
    """What was studied."""
    return {
        "key": KEY.to_json(),
        "patch": vars(PATCH),
        "models": list(MODELS),
        "detectors": list(DETECTORS),
        "seeds": list(SEEDS),
        "images_searched": SEARCHED,
        "images_known_to_lof": KNOWN,
        "images_known_to_strip": KNOWN_TO_STRIP,
        "overlays": OVERLAYS,
        "inputs_shown_to_strip": STRIPPED,
        "images_changed": CHANGED,
        "false_positives": FALSE_POSITIVES,
        "points_of_accuracy": COST,
        "strengths": {change: list(strengths) for change, strengths in STRENGTHS.items()},
    }


def summary(rows: list[dict]) -> dict:
    """By detector, a line for each model; then the bars that the method is held to, and whether it clears them."""
    by_detector = {}
    for detector, line in _LINES.items():
        by_detector[detector] = [
            {"model": model, "seeds": len(group)} | line(group)
            for model in dict.fromkeys(row["model"] for row in rows)
            if (group := [row for row in rows if (row["model"], row["detector"]) == (model, detector)])
        ]
    return {"detectors": by_detector, "bars": bars(by_detector)}


def bars(by_detector: dict[str, list[dict]]) -> list[dict]:
    """What a victim should withstand, and what the patch must show so that it means something.

    Args:
        by_detector: the lines of the summary, with a victim and a patch for every detector.
    """
    lines = {
        (detector, line["model"]): line for detector, of_models in by_detector.items() for line in of_models
    }
    cleansed, scanned = (lines[detector, "patch"] for detector in ("Neural Cleanse", "ABS"))
    victim = lines["Neural Cleanse", "victim"]["largest_target_index"]
    screened = lines["LOF", "victim"]["mean_detection_rate"]
    noise = lines["preprocessing", "victim"]["gaussian noise"]["mean_mark_at_cost"]
    return [
        _bar("Neural Cleanse on victims: largest index of the target class", "below 2", victim, victim < 2),
        _bar("LOF on victims: mean share of combined images found", "below 0.10", screened, screened < 0.10),
        _bar("noise at 3 points of accuracy on victims: mean mark", "at least 0.90", noise, noise >= 0.90),
        _bar(
            "Neural Cleanse on patches: least index of the target class",
            "above 2, target flagged alone on every seed",
            cleansed["least_target_index"],
            cleansed["least_target_index"] > 2 and cleansed["target_alone"] == cleansed["seeds"],
        ),
        _bar(
            "ABS on patches: seeds on which the target is flagged alone",
            "all",
            scanned["target_alone"],
            scanned["target_alone"] == scanned["seeds"],
        ),
    ]


def _bar(name: str, rule: str, measured: float, holds: bool) -> dict:
    return {"bar": name, "rule": rule, "measured": measured, "holds": bool(holds)}


def _flags(rows: list[dict]) -> dict:
    return {
        "target_alone": sum(row["flagged"] == [KEY.target] for row in rows),
        "others_flagged": sum(any(name != KEY.target for name in row["flagged"]) for row in rows),
    }


def _cleansed(rows: list[dict]) -> dict:
    target_indices = [row["target_index"] for row in rows]
    indices = [max(row["indices"]) for row in rows]
    return _flags(rows) | {
        "mean_target_index": float(np.mean(target_indices)),
        "least_target_index": min(target_indices),
        "largest_target_index": max(target_indices),
        "largest_index": max(indices),
        "mean_seconds": _mean(rows, "seconds"),
    }


def _scanned(rows: list[dict]) -> dict:
    names = ("best_success", "best_success_of_the_target")
    return _flags(rows) | {f"mean_{name}": _mean(rows, name) for name in names}


def _screened(rows: list[dict]) -> dict:
    names = ("detection_rate", "false_positives", "accuracy_cost")
    largest = {"largest_detection_rate": max(row["detection_rate"] for row in rows)}
    return {f"mean_{name}": _mean(rows, name) for name in names} | largest


def _endured(rows: list[dict]) -> dict:
    return {
        change: {
            "mean_unchanged_mark": float(np.mean([row[change]["unchanged"]["mark"] for row in rows])),
            "mean_strength_at_cost": float(np.mean([row[change]["at_cost"]["strength"] for row in rows])),
            "mean_mark_at_cost": float(np.mean([row[change]["at_cost"]["mark"] for row in rows])),
            "least_mark_at_cost": min(row[change]["at_cost"]["mark"] for row in rows),
        }
        for change in STRENGTHS
    }


def _mixed(rows: list[dict]) -> dict:
    return {
        "ranks": [row["rank"] for row in rows],
        "mean_prms": _mean(rows, "prms"),
        "mean_median_prms": _mean(rows, "median_prms"),
        "mean_largest_of_others": _mean(rows, "largest_of_others"),
        "mean_beyond_threshold": _mean(rows, "beyond_threshold"),
        "seeds_where_the_pair_stands_out": sum(row["stands_out"] for row in rows),
    }


def _mean(rows: list[dict], name: str) -> float:
    return float(np.mean([row[name] for row in rows]))


_LINES: dict[str, Callable[[list[dict]], dict]] = {
    "Neural Cleanse": _cleansed,
    "ABS": _scanned,
    "LOF": _screened,
    "STRIP": _screened,
    "preprocessing": _endured,
    "random mixing": _mixed,
}


if __name__ == "__main__":
    run("detection_study", jobs(), run_one, summary, settings())
