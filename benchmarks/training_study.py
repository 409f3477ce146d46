"""How should an owner train, and whose images does the adversary query? Two keys, three seeds.

Each row is one surrogate: of an owner who augments or not, by an adversary who does or not, at a temperature, for as
long as the owner's own training or five times as long, with images of their own or the owner's.
`make study STUDY=training_study` writes results/training_study.json; see `benchmarks.study` for two cores and
interruptions.
"""

from collections.abc import Sequence
from dataclasses import asdict

import mea_lib as mea
from benchmarks.study import MEASURES, SEEDS, means, run
from mea_lib import proof
from mea_lib.extraction import Distillation
from mea_lib.watermarks import RunnerUp

# Chosen before the study, the paper's first. The second one's target does not resemble a source.
KEYS = (
    (("T-shirt/top", "Trouser"), "Pullover"),
    (("Sandal", "Sneaker"), "Coat"),
)
# Owner, whose images, temperature, epochs in units of the scale's, whether the adversary augments.
CASES = (
    ("plain", "adversary", 1.0, 1, False),
    ("plain", "adversary", 4.0, 1, False),
    ("plain", "adversary", 1.0, 1, True),
    ("plain", "adversary", 4.0, 1, True),
    ("plain", "owner", 1.0, 1, False),
    ("plain", "owner", 4.0, 1, False),
    ("augmented", "adversary", 1.0, 1, False),
    ("augmented", "adversary", 1.0, 1, True),
)
LONG = (
    ("plain", "adversary", 1.0, 5, False),
    ("plain", "adversary", 1.0, 5, True),
)


def run_one(
    data: mea.Data,
    scale: mea.Scale,
    sources: Sequence[str],
    target: str,
    seed: int,
    owner: str,
    queries: str,
    temperature: float,
    times: int,
    augment: bool,
) -> dict:
    """One surrogate, with its victim and the victim's clean twin."""
    key = mea.WatermarkKey(tuple(sources), target, "crop-paste", seed=7)
    scale = scale.owner_but(augment=owner == "augmented")
    scale = scale.adversary_but(epochs=times * scale.adversary.epochs, augment=augment)
    victim = RunnerUp().embed(data.owner, key, scale, seed=seed)
    twin = mea.train_clean(data.owner, scale, seed=seed)
    images = data.queries if queries == "adversary" else data.owner.images[: len(data.queries)]
    oracle = mea.Oracle(victim, len(images))
    surrogate = Distillation(temperature).extract(oracle, images, scale, seed=seed)
    victim_suspect, clean_suspect, suspect = (mea.Oracle(model) for model in (victim, twin, surrogate))
    return {
        "key": f"{sources[0]} + {sources[1]} → {target}",
        "seed": seed,
        "owner": owner,
        "queries": queries,
        "temperature": temperature,
        "times": times,
        "augment": augment,
        "clean_accuracy": proof.accuracy(clean_suspect, data.test),
        "clean_wsr": proof.watermark_success_rate(clean_suspect, key, data.test).value,
        "victim_accuracy": proof.accuracy(victim_suspect, data.test),
        "victim_wsr": proof.watermark_success_rate(victim_suspect, key, data.test).value,
        "victim_wfpr": _wfpr(victim_suspect, key, data.test),
        "runner_up": proof.runner_up_share(victim_suspect, key, data.test),
        "accuracy": proof.accuracy(suspect, data.test),
        "wsr": proof.watermark_success_rate(suspect, key, data.test).value,
        "wfpr": _wfpr(suspect, key, data.test),
        "seconds": surrogate.card["seconds"],
        "victim_seconds": victim.card["seconds"],
        "clean_seconds": twin.card["seconds"],
    }


def jobs() -> list[tuple]:
    """Seed by seed, so that an early look is at all cases; the long trainings on the first seed only."""
    cases = [(*key, seed, *case) for seed in SEEDS for key in KEYS for case in CASES]
    return cases + [(*key, SEEDS[0], *case) for key in KEYS for case in LONG]


def settings() -> dict:
    """What was studied: the settings and weights of the watermark, as the package has them now."""
    terms = asdict(RunnerUp())
    return {"weights": dict(terms.pop("balance")["weights"]), "terms": terms}


def summary(rows: list[dict]) -> list[dict]:
    """One line for each case: mean and least WSR over keys and seeds, and what it costs."""
    names = ("owner", "queries", "temperature", "times", "augment")
    lines = []
    for case in (*CASES, *LONG):
        group = [row for row in rows if tuple(row[name] for name in names) == case]
        line = dict(zip(names, case, strict=True)) | {"surrogates": len(group)}
        line |= means(group, MEASURES)
        line["least_wsr"] = min(row["wsr"] for row in group)
        lines.append(line)
    return lines


def _wfpr(suspect: mea.Oracle, key: mea.WatermarkKey, test: mea.ImageSet) -> dict[str, float]:
    return {way: rate.value for way, rate in proof.wrong_firing_rates(suspect, key, test).items()}


if __name__ == "__main__":
    run("training_study", jobs(), run_one, summary, settings())
