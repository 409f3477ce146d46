"""Adversaries who know the method but not the key: every attack on a plain API, some on four others, over seeds.

`make study STUDY=adaptive_study` writes results/adaptive_study.json; see `benchmarks.study` for parts and interruptions.
How a row is made is in `benchmarks.adversaries`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.adversaries import ALPHA, APIS, ATTACKS, BORDER_RATE, RANKED, RELABEL_EPOCHS, run_one
from benchmarks.owners import KEYS, METHODS, SEEDS
from benchmarks.study import LONGER_SMOKE, run, spreads

TESTS = ("mark", "second", "border")  # on mixes, by runner-ups, at the moved border
AXES = ("method", "key", "seed", "api", "attack")
GROUPED = ("method", "key", "api", "attack")
NUMBERS = (
    "wsr",
    "accuracy",
    "accuracy_lost",
    "api_accuracy",
    "wfpr",
    "second",
    "queries",
    "rank",
    "border_rate",
    "this_side_rate",
    "null_models_rate",
    "seconds",
)
# Each of the owner's defences meets those attacks that differ in what they could do to it; of a clean model there is an
# ordinary surrogate. Hard labels hold no runner-up that could be cleaned or searched for, but the surrogate's may.
MET_BY = {
    "plain": tuple(ATTACKS),
    "moved border": (
        "distillation, T = 4",
        "search, runner-up forgotten",
        "search, pair relabelled",
        "all pairs relabelled",
    ),
    "marked answers": (
        "distillation, T = 4",
        "distillation, T = 1",
        "search, runner-up forgotten",
        "search, pair relabelled",
        "all pairs relabelled",
    ),
    "marked labels": ("hard labels", "own search, pair relabelled", "all pairs relabelled"),
    "clean model": ("distillation, T = 4",),
}


def jobs() -> list[tuple[str, str, int, str, str]]:
    """Methods, keys, seeds, APIs and attacks; seed by seed, so that an early look is at all attacks."""
    return [
        (method, key, seed, api, attack)
        for seed in SEEDS
        for key in KEYS
        for method in METHODS
        for api in APIS
        for attack in MET_BY[api]
    ]


def settings() -> dict:
    """What was studied."""
    return {
        "methods": list(METHODS),
        "keys": {name: key.to_json() for name, key in KEYS.items()},
        "attacks": {api: list(attacks) for api, attacks in MET_BY.items()},
        "seeds": list(SEEDS),
        "border_rate": BORDER_RATE,
        "ranked_by_answers": RANKED,
        "epochs_of_relabelling": RELABEL_EPOCHS,
        "alpha": ALPHA,
    }


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict]:
    """By method, key, API and attack: spreads over seeds, largest p-values, how many are convicted by what.

    `keys_named` counts the searches that named both source classes and the target.
    """
    rows = [{**row, "accuracy_lost": row["victim_accuracy"] - row["accuracy"]} for row in rows]
    lines = spreads(rows, GROUPED, NUMBERS)
    for line in lines:
        group = [row for row in rows if all(row[name] == line[name] for name in GROUPED)]
        for test in TESTS:
            line[f"largest_{test}_p"] = max(row[f"{test}_p"] for row in group)
            line[f"convicted_by_{test}"] = sum(row[f"{test}_p"] < ALPHA for row in group)
        # Who makes several tests divides the level among them.
        line["convicted_by_mark_or_second"] = sum(
            min(row["mark_p"], row["second_p"]) < ALPHA / 2 for row in group
        )
        line["keys_named"] = sum(_is_named(row) for row in group)
    return lines


def _is_named(row: Mapping[str, Any]) -> bool:
    named, key = row["named"], KEYS.get(row["key"])
    if named is None or key is None:
        return False
    return {named["first"], named["second"]} == set(key.sources) and named["target"] == key.target


if __name__ == "__main__":
    run("adaptive_study", jobs(), run_one, summary, settings(), axes=AXES, smoke=LONGER_SMOKE)
