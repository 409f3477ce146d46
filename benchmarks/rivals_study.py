"""Where MEA-Defender stands: watermarks, altered answers and methods without a mark against the same adversaries.

`make study STUDY=rivals_study` writes results/rivals_study.json; see `benchmarks.study` for parts and interruptions.
How a row is made is in `benchmarks.rivals`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.owners import FIRST_KEY, KEYS, SEEDS
from benchmarks.rivals import (
    ATTACKS,
    CANDIDATES,
    CLEAN,
    ENTANGLED_KEY,
    ERRORS,
    FOREIGN_REPEATS,
    MARKS,
    NULL_MODELS,
    PRIVATE,
    REMOVALS,
    REMOVED_FROM,
    SELECTED,
    TRIGGER_WEIGHT,
    VICTIM,
    run_one,
)
from benchmarks.study import LONGER_SMOKE, run, spreads

AXES = ("mark", "seed", "case")
GROUPED = ("mark", "case")
NUMBERS = ("number", "accuracy", "victim_lost", "lost", "proof_queries", "seconds")
CASES = (VICTIM, CLEAN, *ATTACKS, *REMOVALS)


def jobs() -> list[tuple[str, int, str]]:
    """Marks, seeds and cases; seed by seed, so that an early look is at all marks."""
    return [(mark, seed, case) for seed in SEEDS for mark in MARKS for case in CASES]


def settings() -> dict:
    """What was studied."""
    return {
        "marks": list(MARKS),
        "key_of_pairs": KEYS[FIRST_KEY].to_json(),
        "entangled_key": vars(ENTANGLED_KEY),
        "attacks": list(ATTACKS),
        "removals": dict(REMOVALS),
        "removed_from": REMOVED_FROM,
        "null_models": NULL_MODELS,
        "level": 1 / (NULL_MODELS + 1),
        "mosaics_chosen_from": CANDIDATES,
        "mosaics_kept": SELECTED,
        "errors_queried": ERRORS,
        "trigger_weight": TRIGGER_WEIGHT,
        "private_images": PRIVATE,
        "repeats_of_the_foreign_class": FOREIGN_REPEATS,
        "seeds": list(SEEDS),
    }


def summary(rows: Sequence[Mapping[str, Any]]) -> dict:
    """By mark and case: spreads over seeds, and how many suspects stand above every clean model.

    That is a test at the level 1 / (clean models + 1), the same for every mark. A suspect whose seed has no clean models
    yet is not counted.
    """
    null = {(row["mark"], row["seed"]): row["numbers"] for row in rows if row["case"] == CLEAN}
    rows = [
        {
            **row,
            "victim_lost": row["clean_accuracy"] - row["victim_accuracy"],
            "lost": row["victim_accuracy"] - row["accuracy"],
        }
        for row in rows
    ]
    lines = spreads(rows, GROUPED, NUMBERS)
    for line in lines:
        group = [row for row in rows if all(row[name] == line[name] for name in GROUPED)]
        judged = [row for row in group if (row["mark"], row["seed"]) in null and row["case"] != CLEAN]
        line["judged"] = len(judged)
        line["convicted"] = sum(row["number"] > max(null[row["mark"], row["seed"]]) for row in judged)
    return {"marks": lines}


if __name__ == "__main__":
    run("rivals_study", jobs(), run_one, summary, settings(), axes=AXES, smoke=LONGER_SMOKE)
