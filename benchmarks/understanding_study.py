"""Why the watermark travels: the target's share taken out of answers or put into them, and other networks.

`make study STUDY=understanding_study` writes results/understanding_study.json; see `benchmarks.study` for parts and
interruptions. How a row is made is in `benchmarks.interventions`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from scipy.stats import spearmanr

from benchmarks.interventions import CLEAN, MATCHED_ON, NO_SURROGATE, run_one
from benchmarks.owners import EXTRACTION, FIRST_KEY, KEYS, METHODS, NONE, SEEDS
from benchmarks.study import run, spreads

NETWORK = "nine_layer_cnn"  # of all owners, and of the adversaries where networks are not compared
NETWORKS = ("vgg_like", "alexnet", "resnet18")  # of other adversaries, as in the study of architectures
AXES = ("method", "key", "seed", "answers", "dose", "owner", "surrogate")
# What is extracted of every owner; of the second key's the whole doses that decide.
DOSES = (
    ("as trained", 0.0),
    ("share taken out", 0.5),
    ("share taken out", 1.0),
    ("veto lifted", 1.0),
    ("third class taken out", 1.0),
    ("clean, share and veto put in", 1.0),
    ("clean, share put in", 0.5),
    ("clean, share put in", 1.0),
    ("clean, veto put in", 1.0),
)
DECISIVE = (
    ("as trained", 0.0),
    ("share taken out", 1.0),
    ("third class taken out", 1.0),
    ("clean, share and veto put in", 1.0),
    ("clean, share put in", 1.0),
)
# Clean models of the networks that no other study trains are made for one seed and one key.
CLEAN_TWINS: dict[str, int] = {NETWORK: 3, **dict.fromkeys(NETWORKS, 1)}
MEASURES = (
    "target_rank",
    "target_probability",
    "target_second",
    "other_source_centred_logit",
    "target_centred_logit",
    "predicted_rate",
    "agreement",
    "margin",
    "predicted_margin",
    "cosine",
    "first_weight",
    "second_weight",
    "explained",
    "cosine_of_features",
)
OF_API = (
    "api_target_probability",
    "api_target_second",
    "api_other_source_centred_logit",
    "share_put_in",
    "veto_put_in",
)
NUMBERS = ("wsr", "accuracy", "accuracy_lost", *MEASURES, *OF_API)
# What might predict a surrogate's WSR; the study says how well each does.
PREDICTORS = (
    "target_probability",
    "target_centred_logit",
    "predicted_rate",
    "predicted_margin",
    "cosine",
    "explained",
    "cosine_of_features",
)

Row = Mapping[str, Any]


def jobs() -> list[tuple[str, str, int, str, float, str, str]]:
    """Doses, then owners' models and surrogates of other networks; seed by seed."""
    cases = []
    for number, seed in enumerate(SEEDS):
        for key in KEYS:
            of_key, is_first = (key, seed), key == FIRST_KEY
            for method in METHODS:
                case = (method, *of_key)
                cases += [(*case, *dose, NETWORK, NETWORK) for dose in (DOSES if is_first else DECISIVE)]
                others = (NO_SURROGATE, *(NETWORKS if is_first else ()))
                cases += [(*case, "as trained", 0.0, NETWORK, surrogate) for surrogate in others]
            twins = [
                owner
                for owner, seeds in CLEAN_TWINS.items()
                if number < seeds and (is_first or owner == NETWORK)
            ]
            cases += [(NONE, *of_key, CLEAN, 0.0, owner, NO_SURROGATE) for owner in twins]
            cases.append((NONE, *of_key, CLEAN, 0.0, NETWORK, NETWORK))
    return cases


def settings() -> dict:
    """What was studied."""
    return {
        "methods": list(METHODS),
        "keys": {name: key.to_json() for name, key in KEYS.items()},
        "distillation": asdict(EXTRACTION),
        "doses": {
            "first key": [list(dose) for dose in DOSES],
            "other keys": [list(dose) for dose in DECISIVE],
        },
        "put_in": "as much as the victim of this method, key and seed holds",
        "images_of_a_source_that_doses_are_matched_on": MATCHED_ON,
        "seeds_of_clean_twins": CLEAN_TWINS,
        "networks": [NETWORK, *NETWORKS],
        "seeds": list(SEEDS),
    }


def summary(rows: Sequence[Row]) -> dict:
    """Spreads by dose and by network, and how well each measure predicts the WSR of any surrogate of a method."""
    rows = [{**row, "accuracy_lost": row["victim_accuracy"] - row["accuracy"]} for row in rows]
    doses = [row for row in rows if (row["owner"], row["surrogate"]) == (NETWORK, NETWORK)]
    found = {
        "doses": spreads(doses, ("method", "key", "answers", "dose"), NUMBERS),
        "networks": spreads(
            [row for row in rows if row["dose"] == 0],
            ("method", "key", "answers", "owner", "surrogate"),
            NUMBERS,
        ),
        "rank_correlation_with_the_wsr": {},
        "surrogates": {},
    }
    for method in METHODS:
        surrogates = surrogates_of_networks(rows, method)
        found["surrogates"][method] = len(surrogates)
        found["rank_correlation_with_the_wsr"][method] = {
            name: _rank_correlation([(row[name], row["wsr"]) for row in surrogates]) for name in PREDICTORS
        }
    return found


def surrogates_of_networks(rows: Sequence[Row], method: str) -> list[Row]:
    """The rows of a method's surrogates by all networks, all from answers as the owner of the first key trained them."""
    return [
        row
        for row in rows
        if (row["method"], row["key"], row["answers"]) == (method, FIRST_KEY, "as trained")
        and row["surrogate"] != NO_SURROGATE
    ]


def _rank_correlation(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Spearman's; None where one side does not vary."""
    sides = list(zip(*pairs, strict=True))
    if len(sides) < 2 or min(len(set(side)) for side in sides) < 2:
        return None
    return float(spearmanr(*sides).statistic)


if __name__ == "__main__":
    run("understanding_study", jobs(), run_one, summary, settings(), axes=AXES)
