"""Detectors against clean models, victims, their surrogates and a patch backdoor: what each finds, over seeds.

`make study STUDY=detection_study` writes results/detection_study.json; see `benchmarks.study` for parts and
interruptions. How a row is made is in `benchmarks.detectors`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from benchmarks.detectors import (
    CHANGED,
    COST,
    DETECTORS,
    FALSE_POSITIVES,
    KNOWN,
    KNOWN_TO_STRIP,
    MODELS,
    OVERLAYS,
    PATCH,
    SEARCHED,
    STRENGTHS,
    STRIPPED,
    patch_key,
    run_one,
)
from benchmarks.owners import FIRST_KEY, KEYS, METHODS, NONE, SEEDS
from benchmarks.study import run, spreads

AXES = ("method", "key", "seed", "model", "detector")
GROUPED = ("method", "key", "model")
MIXING = ("random mixing", "random mixing, not in the owner's way")

Row = Mapping[str, Any]


def jobs() -> list[tuple[str, str, int, str, str]]:
    """Every detector on every model, seed by seed, so that an early look is at all cases.

    Clean models are shown the samples of both keys. The patch has the first key's target, and no pair of classes that
    mixes could find.
    """
    cases = []
    for seed in SEEDS:
        for key in KEYS:
            models = [(NONE, "clean")]
            models += [(method, model) for method in METHODS for model in ("victim", "surrogate")]
            models += [(PATCH, PATCH)] if key == FIRST_KEY else []
            cases += [
                (method, key, seed, model, detector)
                for method, model in models
                for detector in DETECTORS
                if model != PATCH or detector not in MIXING
            ]
    return cases


def settings() -> dict:
    """What was studied."""
    return {
        "methods": list(METHODS),
        "keys": {name: key.to_json() for name, key in KEYS.items()},
        "patch": vars(patch_key(FIRST_KEY)),
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


def summary(rows: Sequence[Row]) -> dict:
    """By detector, a line for each method, key and model; then the bars that the methods are held to."""
    by_detector = {}
    for detector, lines in _LINES.items():
        found = [row for row in rows if row["detector"] == detector]
        if found:
            by_detector[detector] = lines(found)
    return {"detectors": by_detector, "bars": bars(by_detector)}


def bars(by_detector: Mapping[str, list[dict]]) -> list[dict]:
    """What victims of each method should withstand, and what the patch must show so that it means something.

    Args:
        by_detector: the lines of the summary. A bar whose lines are not all there yet is left out.
    """
    found = []
    for method in METHODS:
        indices, shares, rates = (
            _of_victims(by_detector, method, *which)
            for which in (
                ("Neural Cleanse", "largest_target_index"),
                ("LOF", "mean_detection_rate"),
                ("preprocessing", "gaussian noise"),
            )
        )
        if indices:
            name = f"Neural Cleanse on victims of {method}: largest index of the target class"
            found.append(_bar(name, "below 2", max(indices), max(indices) < 2))
        if shares:
            mean = sum(shares) / len(shares)
            name = f"LOF on victims of {method}: mean share of combined images found"
            found.append(_bar(name, "below 0.10", mean, mean < 0.10))
        if rates:
            mean = sum(rate["mean_wsr_at_cost"] for rate in rates) / len(rates)
            name = f"noise at 3 points of accuracy on victims of {method}: mean WSR"
            found.append(_bar(name, "at least 0.90", mean, mean >= 0.90))
    for line in _of_model(by_detector, "Neural Cleanse", PATCH):
        holds = line["least_target_index"] > 2 and line["target_alone"] == line["seeds"]
        name = "Neural Cleanse on patches: least index of the target class"
        rule = "above 2, target flagged alone on every seed"
        found.append(_bar(name, rule, line["least_target_index"], holds))
    for line in _of_model(by_detector, "ABS", PATCH):
        name = "ABS on patches: seeds on which the target is flagged alone"
        found.append(_bar(name, "all", line["target_alone"], line["target_alone"] == line["seeds"]))
    return found


def _of_model(by_detector: Mapping[str, list[dict]], detector: str, model: str) -> list[dict]:
    return [line for line in by_detector.get(detector, []) if line["model"] == model]


def _of_victims(by_detector: Mapping[str, list[dict]], method: str, detector: str, name: str) -> list[Any]:
    """This figure of a method's victims, one for each key."""
    return [line[name] for line in _of_model(by_detector, detector, "victim") if line["method"] == method]


def _bar(name: str, rule: str, measured: float, holds: bool) -> dict:
    return {"bar": name, "rule": rule, "measured": measured, "holds": bool(holds)}


def _with_counts(
    count: Callable[[Sequence[Row]], dict], *numbers: str
) -> Callable[[Sequence[Row]], list[dict]]:
    """Spreads of these numbers by method, key and model, and what else is counted of each group."""

    def lines(rows: Sequence[Row]) -> list[dict]:
        found = spreads(rows, GROUPED, numbers)
        for line in found:
            line |= count([row for row in rows if all(row[name] == line[name] for name in GROUPED)])
        return found

    return lines


def _flags(rows: Sequence[Row]) -> dict:
    """On how many seeds the target class was flagged and no other, and on how many another."""
    targets = [KEYS[row["key"]].target for row in rows]
    return {
        "target_alone": sum(row["flagged"] == [name] for row, name in zip(rows, targets, strict=True)),
        "others_flagged": sum(
            any(one != name for one in row["flagged"]) for row, name in zip(rows, targets, strict=True)
        ),
    }


def _endured(rows: Sequence[Row]) -> dict:
    """By transform: the WSR of unchanged inputs, and strength and WSR at the cost that is allowed."""
    found = {}
    for change in STRENGTHS:
        points = [
            {
                "seed": row["seed"],
                "unchanged_wsr": row[change]["unchanged"]["wsr"],
                "strength_at_cost": row[change]["at_cost"]["strength"],
                "wsr_at_cost": row[change]["at_cost"]["wsr"],
            }
            for row in rows
        ]
        (found[change],) = spreads(points, (), ("unchanged_wsr", "strength_at_cost", "wsr_at_cost"))
    return found


def _ranked(rows: Sequence[Row]) -> dict:
    return {
        "ranks": [row["rank"] for row in rows],
        "seeds_where_the_pair_stands_out": sum(row["stands_out"] for row in rows),
    }


def _nothing(rows: Sequence[Row]) -> dict:
    return {}


_screened = _with_counts(_nothing, "detection_rate", "false_positives", "accuracy_cost")
_mixed = _with_counts(
    _ranked, "rank", "prms", "median_prms", "largest_of_others", "beyond_threshold", "queries"
)
_LINES: dict[str, Callable[[Sequence[Row]], list[dict]]] = {
    "Neural Cleanse": _with_counts(_flags, "target_index", "largest_index", "seconds"),
    "ABS": _with_counts(_flags, "best_success", "best_success_of_the_target", "seconds"),
    "LOF": _screened,
    "STRIP": _screened,
    "preprocessing": _with_counts(_endured),
    **dict.fromkeys(MIXING, _mixed),
}


if __name__ == "__main__":
    run("detection_study", jobs(), run_one, summary, settings(), axes=AXES)
