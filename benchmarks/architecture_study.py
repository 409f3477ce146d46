"""Does the watermark survive a change of architecture? All victims and adversaries of Table II, three seeds.

Each victim is extracted twice by each adversary: from its own answers, and from marked answers.

`make study STUDY=architecture_study` writes results/architecture_study.json; see `benchmarks.study` for two
cores and interruptions.
"""

from dataclasses import asdict

import numpy as np

import mea_lib as mea
from benchmarks.study import KEY, SEEDS, run
from mea_lib import proof
from mea_lib.defences import MarkedAnswers
from mea_lib.extraction import Distillation
from mea_lib.watermarks import RunnerUp

NETWORKS = ("vgg_like", "alexnet", "resnet18")
ANSWERS = ("as trained", "marked")
EXTRACTION = Distillation(temperature=4.0)


def run_one(data: mea.Data, scale: mea.Scale, network: str, answers: str, seed: int) -> dict:
    """One victim with a surrogate of each architecture."""
    victim = RunnerUp().embed(data.owner, KEY, scale.but(network=network), seed=seed)
    sold = victim if answers == "as trained" else MarkedAnswers(victim, KEY, data.owner)
    suspect = mea.Oracle(sold)
    row = {
        "victim": network,
        "answers": answers,
        "seed": seed,
        "accuracy": proof.accuracy(suspect, data.test),
        "wsr": proof.watermark_success_rate(suspect, KEY, data.test).value,
        "surrogates": {},
        "seconds": victim.card["seconds"] if answers == "as trained" else 0.0,
    }
    answered = mea.Oracle(sold, scale.query_images)(data.queries)
    for architecture in NETWORKS:
        other = scale.but(network=architecture)
        surrogate = EXTRACTION.train_surrogate(data.queries, answered, other, seed=seed)
        row["surrogates"][architecture] = {
            "accuracy": proof.accuracy(mea.Oracle(surrogate), data.test),
            "wsr": proof.watermark_success_rate(mea.Oracle(surrogate), KEY, data.test).value,
        }
        row["seconds"] += surrogate.card["seconds"]
    return row


def jobs() -> list[tuple[str, str, int]]:
    """Victims, answers and seeds; seed by seed, so that an early look is at all networks."""
    return [(network, answers, seed) for seed in SEEDS for answers in ANSWERS for network in NETWORKS]


def settings() -> dict:
    """What was studied."""
    return {
        "distillation": asdict(EXTRACTION),
        "networks": list(NETWORKS),
        "answers": list(ANSWERS),
        "seeds": list(SEEDS),
    }


def summary(rows: list[dict]) -> dict:
    """The figures the study is held to, for each kind of answers."""
    figures = {}
    for answers in ANSWERS:
        group = [row for row in rows if row["answers"] == answers]
        pairs = [row["surrogates"][architecture]["wsr"] for row in group for architecture in NETWORKS]
        figures[answers] = {
            "mean_wsr_of_surrogates": float(np.mean(pairs)),
            "least_wsr_of_surrogates": min(pairs),
            "least_mean_of_a_pair": min(
                float(
                    np.mean(
                        [row["surrogates"][architecture]["wsr"] for row in group if row["victim"] == victim]
                    )
                )
                for victim in NETWORKS
                for architecture in NETWORKS
            ),
            "least_victim_wsr": min(row["wsr"] for row in group),
        }
    return figures


if __name__ == "__main__":
    run("architecture_study", jobs(), run_one, summary, settings())
