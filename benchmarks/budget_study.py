"""What do more queries bring? Accuracy and WSR of surrogates from 1,000 to 50,000 answers, over seeds.

All surrogates take the same number of training steps: who has fewer answers goes over them more often.

`make study STUDY=budget_study` writes results/budget_study.json; see `benchmarks.study` for two cores and
interruptions.
"""

import mea_lib as mea
from benchmarks.study import KEY, SEEDS, by_group, run
from mea_lib import proof
from mea_lib.defences import MarkedAnswers
from mea_lib.extraction import Distillation
from mea_lib.watermarks import RunnerUp

# All queries of the scale, divided by these; at laptop scale 1,000 to 50,000.
PARTS = (50, 25, 10, 5, 2, 1)
# What the API answers, the adversary's temperature, and the seeds.
ANSWERS = {
    "probabilities": (4.0, SEEDS),
    "labels": (1.0, SEEDS[:1]),
    "marked probabilities": (4.0, SEEDS[:2]),
}


def run_one(data: mea.Data, scale: mea.Scale, answers: str, part: int, seed: int) -> dict:
    """One surrogate from so many answers of the victim of this seed."""
    victim = RunnerUp().embed(data.owner, KEY, scale, seed=seed)
    sold = MarkedAnswers(victim, KEY, data.owner) if answers.startswith("marked") else victim
    oracle = mea.Oracle(sold, scale.query_images // part, answer="hard" if answers == "labels" else "soft")
    longer = scale.adversary_but(epochs=scale.adversary.epochs * part)
    surrogate = Distillation(ANSWERS[answers][0]).extract(oracle, data.queries, longer, seed=seed)
    suspect = mea.Oracle(surrogate)
    return {
        "answers": answers,
        "part": part,
        "queries": oracle.queries,
        "seed": seed,
        "victim_accuracy": proof.accuracy(mea.Oracle(victim), data.test),
        "accuracy": proof.accuracy(suspect, data.test),
        "wsr": proof.watermark_success_rate(suspect, KEY, data.test).value,
        "seconds": surrogate.card["seconds"],
    }


def jobs() -> list[tuple[str, int, int]]:
    """Kinds of answers, parts and seeds; seed by seed, so that an early look is at all."""
    return [
        (answers, part, seed)
        for seed in SEEDS
        for answers, (_, seeds) in ANSWERS.items()
        if seed in seeds
        for part in PARTS
    ]


def settings() -> dict:
    """What was studied."""
    return {
        "parts": list(PARTS),
        "answers": {name: {"temperature": t, "seeds": list(seeds)} for name, (t, seeds) in ANSWERS.items()},
    }


def summary(rows: list[dict]) -> list[dict]:
    """By kind of answers and number of queries: means over seeds."""
    return by_group(rows, ("answers", "queries"))


if __name__ == "__main__":
    run("budget_study", jobs(), run_one, summary, settings())
