"""What each extraction brings away, and what it costs: every attack on the paper's key, over seeds.

`make study STUDY=attack_study` writes results/attack_study.json; see `benchmarks.study` for two cores and
interruptions.
"""

from collections.abc import Callable

import mea_lib as mea
from benchmarks.study import KEY, SEEDS, by_group, run
from mea_lib import proof
from mea_lib.extraction import Distillation, Jacobian, Knockoff
from mea_lib.extraction.jacobian import PAPERNOT
from mea_lib.models import ImageClassifier
from mea_lib.watermarks import RunnerUp

PATIENT_EPOCHS = 10

Extract = Callable[[mea.Oracle, mea.Data, mea.Scale, int], ImageClassifier]


def _jacobian(part: int, **answer) -> tuple[Extract, dict]:
    """From one `part` of the adversary's photographs, doubled until they are as many as all of them."""

    def extract(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
        photographs, rounds = len(data.queries) // part, part.bit_length() - 1
        method = Jacobian(temperature=4.0, seed_images=photographs, rounds=rounds)
        return method.extract(oracle, data.queries, scale, seed=seed)

    return extract, answer


def _papernot(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
    """From 150 photographs; so few images need more epochs, in smaller batches."""
    longer = scale.adversary_but(epochs=50, batch_size=64)
    return PAPERNOT.extract(oracle, data.queries, longer, seed=seed)


def _knockoff(strategy: str, temperature: float, epochs: int | None = None, **answer) -> tuple[Extract, dict]:
    method = Knockoff(temperature, strategy=strategy)

    def extract(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
        longer = scale.adversary_but(epochs=epochs) if epochs else scale
        return method.extract(oracle, data.owner, longer, seed=seed)

    return extract, answer


def _distillation(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
    return Distillation(temperature=4.0).extract(oracle, data.queries, scale, seed=seed)


ATTACKS: dict[str, tuple[Extract, dict]] = {
    "distillation": (_distillation, {}),
    "Jacobian, half of the questions photographs": _jacobian(2),
    "Jacobian, a quarter photographs": _jacobian(4),
    "Knockoff, random": _knockoff("random", 4.0),
    "Knockoff, adaptive": _knockoff("adaptive", 4.0),
    "Knockoff, random, T = 1": _knockoff("random", 1.0),
    "Knockoff, random, patient": _knockoff("random", 4.0, PATIENT_EPOCHS),
    "Knockoff, random, T = 1, patient": _knockoff("random", 1.0, PATIENT_EPOCHS),
}
# On the default victim alone.
MORE_ATTACKS: dict[str, tuple[Extract, dict]] = {
    "Jacobian, an eighth photographs": _jacobian(8),
    "Jacobian, Papernot's settings": (_papernot, {}),
    "Knockoff, adaptive, T = 1": _knockoff("adaptive", 1.0),
    "Knockoff, random, labels only": _knockoff("random", 1.0, answer="hard"),
    "Jacobian, a quarter photographs, labels only": _jacobian(4, answer="hard"),
}
# What the target class gets on clean source images: the book's default, and a stronger watermark.
SHARES = (0.3, 0.4)
FEWER_SEEDS = SEEDS[:2]


def run_one(data: mea.Data, scale: mea.Scale, share: float, attack: str, seed: int) -> dict:
    """One surrogate of the victim of this seed and strength."""
    victim = RunnerUp(share=share).embed(data.owner, KEY, scale, seed=seed)
    extract, answer = (ATTACKS | MORE_ATTACKS)[attack]
    oracle = mea.Oracle(victim, scale.query_images, **answer)
    surrogate = extract(oracle, data, scale, seed)
    suspect = mea.Oracle(surrogate)
    return {
        "share": share,
        "attack": attack,
        "seed": seed,
        "queries": oracle.queries,
        "victim_accuracy": proof.accuracy(mea.Oracle(victim), data.test),
        "accuracy": proof.accuracy(suspect, data.test),
        "wsr": proof.watermark_success_rate(suspect, KEY, data.test).value,
        "seconds": surrogate.card["seconds"],
    }


def jobs() -> list[tuple[float, str, int]]:
    """Strengths, attacks and seeds; seed by seed, so that an early look is at all attacks.

    The stronger watermark and the further attacks have two seeds, the others three.
    """
    fewer = [(share, attack) for share in SHARES[1:] for attack in ATTACKS]
    fewer += [(SHARES[0], attack) for attack in MORE_ATTACKS]
    cases = []
    for seed in SEEDS:
        chosen = [(SHARES[0], attack) for attack in ATTACKS] + (fewer if seed in FEWER_SEEDS else [])
        cases += [(share, attack, seed) for share, attack in chosen]
    return cases


def settings() -> dict:
    """What was studied."""
    return {
        "shares": list(SHARES),
        "attacks": list(ATTACKS),
        "more_attacks_on_the_default": list(MORE_ATTACKS),
        "seeds": list(SEEDS),
        "seeds_of_the_stronger_mark_and_of_more_attacks": list(FEWER_SEEDS),
        "patient_epochs": PATIENT_EPOCHS,
    }


def summary(rows: list[dict]) -> list[dict]:
    """By strength and attack: means over seeds, and the accuracy that is lost against the victim."""
    return by_group(rows, ("share", "attack"))


if __name__ == "__main__":
    run("attack_study", jobs(), run_one, summary, settings())
