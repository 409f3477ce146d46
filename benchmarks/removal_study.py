"""What is left of watermark and accuracy after every removal: victims, surrogates, a weaker watermark, a baseline.

`make study STUDY=removal_study` writes results/removal_study.json; see `benchmarks.study` for parts and interruptions.
How a row is made is in `benchmarks.removals`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.owners import FIRST_KEY, KEYS, METHODS, NONE, SEEDS
from benchmarks.removals import (
    CALIBRATION,
    EPOCHS,
    LAYER_EPOCHS,
    MODELS,
    PATCH,
    WAY_SAMPLES,
    run_one,
)
from benchmarks.study import LONGER_SMOKE, run, spreads
from mea_lib.removal.prune import largest_within

POINTS = 5  # of accuracy that a pruning may cost
ALPHA = 0.01
AXES = ("method", "key", "seed", "model", "removal", "strength")
GROUPED = ("method", "key", "model", "removal", "strength")
NUMBERS = ("wsr", "accuracy", "accuracy_lost", "wfpr", "second", "seconds")


class Strengths(NamedTuple):
    """How strongly a removal is made.

    Attributes:
        unit: what a strength counts.
        all: from weak to strong, for victims and surrogates of the first key.
        fewer: those that the second key, victims from scratch and the weaker watermark meet.
    """

    unit: str
    all: tuple[float, ...]
    fewer: tuple[float, ...]


TENTHS = tuple(number / 10 for number in range(1, 10))
MIXES = "mixes for each clean image"
STEP = "step, in standard deviations"
STRENGTHS = {
    "nothing": Strengths("none", (0,), (0,)),
    "fine-tuning, queries, own soft labels": Strengths("epochs", (4,), (4,)),
    "fine-tuning, queries, own hard labels": Strengths("epochs", (4,), (4,)),
    "fine-tuning, held-out": Strengths("epochs", (1, 4, 16), (16,)),
    "fine-tuning, held-out, last layer": Strengths("epochs", (16,), ()),
    "fine-tuning, held-out, tenfold rate": Strengths("epochs", (4, 16), (16,)),
    "relabelled mixes, queries": Strengths(MIXES, (0.5,), (0.5,)),
    "relabelled mixes, held-out": Strengths(MIXES, (0.1, 0.5, 1), (1,)),
    "relabelled mixes, held-out, tenfold rate": Strengths(MIXES, (1,), (1,)),
    "transfer to digits, old layer": Strengths("epochs", (4, 16), ()),
    "transfer to digits, new layer": Strengths("epochs", (4, 16), (16,)),
    "transfer to kinds of clothes, new layer": Strengths("epochs", (4,), ()),
    "pruning": Strengths("share of weights cut", TENTHS, TENTHS[2:8]),
    "pruning, then fine-tuning": Strengths("share of weights cut", (0.3, 0.5, 0.7, 0.9), (0.7,)),
    "fine-pruning": Strengths("share of channels cut", (0.5, 0.8, 0.95), (0.8,)),
    "quantisation": Strengths("bits", (8, 4, 3), (8, 4)),
    "distillation again": Strengths("temperature", (4,), (4,)),
    "unlearning": Strengths("epochs", (EPOCHS,), (EPOCHS,)),
    "WRK": Strengths(STEP, (2,), (2,)),
    "WRK, tenfold rate": Strengths(STEP, (1, 2, 3), (2,)),
    "WRK, never class 0": Strengths(STEP, (2,), ()),
    "WRK, never class 0, tenfold rate": Strengths(STEP, (2,), (2,)),
}
# An adversary who steals nothing, for as many steps as a surrogate takes at laptop scale, and four times as many.
BASELINES = {
    "held-out labels alone": Strengths("epochs", (10, 40), (10, 40)),
    "held-out labels alone, mirrored and shifted": Strengths("epochs", (40,), (40,)),
}


def jobs() -> list[tuple[str, str, int, str, str, float]]:
    """Methods, keys, seeds, models, removals and strengths; seed by seed, so that an early look is at all cases.

    Victims and surrogates have both keys and three seeds. A victim from scratch is there once for each method. The weaker
    watermark has the first key's target, and the baseline is measured under both keys.
    """
    cases = []
    for seed in SEEDS:
        for key in KEYS:
            of_key = (key, seed)
            cases += [
                (method, *of_key, model, removal, strength)
                for method in METHODS
                for model in ("victim", "surrogate")
                for removal, strengths in STRENGTHS.items()
                for strength in (strengths.all if key == FIRST_KEY else strengths.fewer)
            ]
            others = [(PATCH, "late patch")] if key == FIRST_KEY else []
            if of_key == (FIRST_KEY, SEEDS[0]):
                others += [(method, "victim from scratch") for method in METHODS]
            cases += [
                (method, *of_key, model, removal, strength)
                for method, model in others
                for removal, strengths in STRENGTHS.items()
                for strength in strengths.fewer
            ]
            cases += [
                (NONE, *of_key, NONE, removal, epochs)
                for removal, strengths in BASELINES.items()
                for epochs in strengths.all
            ]
    return cases


def settings() -> dict:
    """What was studied."""
    return {
        "methods": list(METHODS),
        "keys": {name: key.to_json() for name, key in KEYS.items()},
        "models": [*MODELS, NONE],
        "weaker_watermarks": ["late patch"],
        "victims_go_on_from": "the clean model of their seed, but for those from scratch",
        "removals": {
            name: {
                "unit": strengths.unit,
                "strengths": list(strengths.all),
                "fewer_strengths": list(strengths.fewer),
            }
            for name, strengths in (STRENGTHS | BASELINES).items()
        },
        "epochs": EPOCHS,
        "epochs_of_a_new_layer": LAYER_EPOCHS,
        "points_of_accuracy": POINTS,
        "calibration_images": CALIBRATION,
        "mixes_of_each_other_way": WAY_SAMPLES,
        "alpha": ALPHA,
        "seeds": list(SEEDS),
    }


def summary(rows: Sequence[Mapping[str, Any]]) -> dict:
    """By method, key, model, removal and strength; and how much pruning each model bears at which WSR."""
    lines = spreads(rows, GROUPED, NUMBERS)
    for line in lines:
        group = [row for row in rows if all(row[name] == line[name] for name in GROUPED)]
        line["convicted_by_runner_up"] = sum(row["second_p"] < ALPHA for row in group)
    return {"removals": lines, "largest_pruning": largest_pruning(rows)}


def largest_pruning(rows: Sequence[Mapping[str, Any]]) -> list[dict]:
    """For each model: the largest pruning of each seed at a cost of at most `POINTS`, and the WSR there.

    A seed counts once the prunings that every model meets are there.
    """
    curves: dict[tuple, dict[float, Mapping[str, Any]]] = {}
    for row in rows:
        if row["removal"] in ("nothing", "pruning"):
            case = (row["method"], row["key"], row["model"], row["seed"])
            curves.setdefault(case, {})[row["strength"]] = row
    found: dict[tuple, list[tuple[float, float]]] = {}
    for (*of_model, _seed), curve in curves.items():
        if set(curve) >= {0, *STRENGTHS["pruning"].fewer}:
            share = largest_within({s: row["accuracy"] for s, row in curve.items()}, POINTS)
            found.setdefault(tuple(of_model), []).append((share, curve[share]["wsr"]))
    lines = []
    for of_model, pairs in found.items():
        shares, rates = zip(*pairs, strict=True)
        line = dict(zip(("method", "key", "model"), of_model, strict=True))
        line |= {"shares": list(shares), "wsr": list(rates)}
        lines.append(line | {"mean_wsr": sum(rates) / len(rates), "least_wsr": min(rates)})
    return lines


if __name__ == "__main__":
    run("removal_study", jobs(), run_one, summary, settings(), axes=AXES, smoke=LONGER_SMOKE)
