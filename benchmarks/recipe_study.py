"""Does the recipe work in general? Four keys, three seeds, three adversaries each.

`make study STUDY=recipe_study` writes results/recipe_study.json; see `benchmarks.study` for two cores and
interruptions.
"""

from dataclasses import asdict

import numpy as np

import mea_lib as mea
from benchmarks.study import SEEDS, run
from mea_lib import proof
from mea_lib.extraction import Distillation
from mea_lib.watermarks import RunnerUp

# Chosen before the study, the paper's first. No key and no seed was left out.
KEYS = (
    (("T-shirt/top", "Trouser"), "Pullover"),
    (("Sandal", "Sneaker"), "Coat"),
    (("Bag", "Ankle boot"), "Dress"),
    (("Dress", "Coat"), "Bag"),
)
TEMPERATURES = (1.0, 4.0, 7.0)


def run_one(data: mea.Data, scale: mea.Scale, sources: tuple[str, str], target: str, seed: int) -> dict:
    """One victim with its clean twin and its surrogates."""
    key = mea.WatermarkKey(sources, target, "crop-paste", seed=7)
    victim = RunnerUp().embed(data.owner, key, scale, seed=seed)
    twin = mea.train_clean(data.owner, scale, seed=seed)
    victim_suspect, clean_suspect = mea.Oracle(victim), mea.Oracle(twin)
    row = {
        "key": f"{sources[0]} + {sources[1]} → {target}",
        "seed": seed,
        "accuracy": proof.accuracy(victim_suspect, data.test),
        "clean_accuracy": proof.accuracy(clean_suspect, data.test),
        "wsr": proof.watermark_success_rate(victim_suspect, key, data.test).value,
        "clean_wsr": proof.watermark_success_rate(clean_suspect, key, data.test).value,
        "wfpr": _wfpr(victim_suspect, key, data.test),
        "other_pairs": float(np.nanmean(proof.other_pairs_rates(victim_suspect, key, data.test))),
        "clean_other_pairs": float(np.nanmean(proof.other_pairs_rates(clean_suspect, key, data.test))),
        "runner_up": proof.runner_up_share(victim_suspect, key, data.test),
        "seconds": victim.card["seconds"],
    }
    row["accuracy_cost"] = row["clean_accuracy"] - row["accuracy"]
    for temperature in TEMPERATURES:
        oracle = mea.Oracle(victim, scale.query_images)
        surrogate = Distillation(temperature).extract(oracle, data.queries, scale, seed=seed)
        suspect, name = mea.Oracle(surrogate), f"t{temperature:.0f}"
        row[f"wsr_{name}"] = proof.watermark_success_rate(suspect, key, data.test).value
        row[f"accuracy_{name}"] = proof.accuracy(suspect, data.test)
        row[f"wfpr_{name}"] = _wfpr(suspect, key, data.test)
        row["seconds"] += surrogate.card["seconds"]
    return row


def jobs() -> list[tuple[tuple[str, str], str, int]]:
    """Keys and seeds; seed by seed, so that an early look is at all keys."""
    return [(sources, target, seed) for seed in SEEDS for sources, target in KEYS]


def settings() -> dict:
    """What was studied: the settings and weights of the watermark, as the package has them now."""
    terms = asdict(RunnerUp())
    return {"weights": dict(terms.pop("balance")["weights"]), "terms": terms}


def summary(runs: list[dict]) -> dict:
    """The figures the recipe is held to."""
    paper = [run for run in runs if run["key"].startswith("T-shirt")]
    warm = [run[name] for run in runs for name in ("wsr_t4", "wsr_t7")]
    return {
        "victims": len(runs),
        "largest_mean_accuracy_cost_of_a_key": max(
            float(np.mean([run["accuracy_cost"] for run in runs if run["key"] == key]))
            for key in {run["key"] for run in runs}
        ),
        "mean_accuracy_cost": float(np.mean([run["accuracy_cost"] for run in runs])),
        "least_victim_wsr": min(run["wsr"] for run in runs),
        "mean_wsr_t4_t7": float(np.mean(warm)),
        "least_wsr_t4_t7": min(warm),
        "mean_wsr_t1": float(np.mean([run["wsr_t1"] for run in runs])),
        "least_wsr_t1": min(run["wsr_t1"] for run in runs),
        "mean_wsr_t4_t7_of_the_papers_key": float(
            np.mean([run[name] for run in paper for name in ("wsr_t4", "wsr_t7")])
        ),
        "mean_wfpr_of_victims": float(np.mean([np.mean(list(run["wfpr"].values())) for run in runs])),
        "mean_other_pairs_above_clean": float(
            np.mean([run["other_pairs"] - run["clean_other_pairs"] for run in runs])
        ),
        "mean_wfpr_of_surrogates_t4": float(
            np.mean([np.mean(list(run["wfpr_t4"].values())) for run in runs])
        ),
    }


def _wfpr(suspect: mea.Oracle, key: mea.WatermarkKey, test: mea.ImageSet) -> dict[str, float]:
    return {way: rate.value for way, rate in proof.wrong_firing_rates(suspect, key, test).items()}


if __name__ == "__main__":
    run("recipe_study", jobs(), run_one, summary, settings())
