"""What each extraction brings away, and what it costs: every attack on the paper's key, over seeds.

`make study STUDY=attack_study` writes results/attack_study.json; see `benchmarks.study` for two cores and
interruptions.
"""

from collections.abc import Callable

import mea_lib as mea
from benchmarks.study import KEY, SEEDS, by_group, run
from mea_lib import proof
from mea_lib.extraction import distillation, jacobian, knockoff
from mea_lib.extraction.distillation import DistillationSettings
from mea_lib.extraction.jacobian import PAPERNOT, JacobianSettings
from mea_lib.extraction.knockoff import KnockoffSettings
from mea_lib.models import ImageClassifier
from mea_lib.training import adversary_settings
from mea_lib.watermarks import runner_up

WARM, COLD = DistillationSettings(temperature=4.0), DistillationSettings(temperature=1.0)
PATIENT_EPOCHS = 10

Steal = Callable[[mea.Oracle, mea.Data, mea.Scale, int], ImageClassifier]


def _jacobian(part: int, **answer) -> tuple[Steal, dict]:
    """From one `part` of the adversary's photographs, doubled until they are as many as all of them."""

    def steal(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
        settings = JacobianSettings(
            seed_images=len(data.queries) // part, rounds=part.bit_length() - 1, distillation=WARM
        )
        return jacobian.extract(oracle, data.queries, scale, settings=settings, seed=seed)

    return steal, answer


def _papernot(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
    """From 150 photographs; so few images need more epochs, in smaller batches."""
    training = adversary_settings(scale).but(epochs=50, batch_size=64)
    return jacobian.extract(oracle, data.queries, scale, settings=PAPERNOT, training=training, seed=seed)


def _knockoff(
    strategy: str, distilled: DistillationSettings, epochs: int | None = None, **answer
) -> tuple[Steal, dict]:
    settings = KnockoffSettings(strategy=strategy, distillation=distilled)

    def steal(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
        training = adversary_settings(scale).but(epochs=epochs) if epochs else None
        return knockoff.extract(oracle, data.owner, scale, settings=settings, training=training, seed=seed)

    return steal, answer


def _distillation(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
    return distillation.extract(oracle, data.queries, scale, settings=WARM, seed=seed)


ATTACKS: dict[str, tuple[Steal, dict]] = {
    "distillation": (_distillation, {}),
    "Jacobian, half of the questions photographs": _jacobian(2),
    "Jacobian, a quarter photographs": _jacobian(4),
    "Knockoff, random": _knockoff("random", WARM),
    "Knockoff, adaptive": _knockoff("adaptive", WARM),
    "Knockoff, random, T = 1": _knockoff("random", COLD),
    "Knockoff, random, patient": _knockoff("random", WARM, PATIENT_EPOCHS),
    "Knockoff, random, T = 1, patient": _knockoff("random", COLD, PATIENT_EPOCHS),
}
# On the default victim alone.
MORE_ATTACKS: dict[str, tuple[Steal, dict]] = {
    "Jacobian, an eighth photographs": _jacobian(8),
    "Jacobian, Papernot's settings": (_papernot, {}),
    "Knockoff, adaptive, T = 1": _knockoff("adaptive", COLD),
    "Knockoff, random, labels only": _knockoff("random", COLD, answer="hard"),
    "Jacobian, a quarter photographs, labels only": _jacobian(4, answer="hard"),
}
# What the target class gets on clean source images: the book's default, and a stronger watermark.
SHARES = (0.3, 0.4)
FEWER_SEEDS = SEEDS[:2]


def run_one(data: mea.Data, scale: mea.Scale, share: float, attack: str, seed: int) -> dict:
    """One surrogate of the victim of this seed and strength."""
    strength = runner_up.RunnerUpSettings(share=share)
    victim = runner_up.embed(data.owner, KEY, scale, settings=strength, seed=seed)
    steal, answer = (ATTACKS | MORE_ATTACKS)[attack]
    oracle = mea.Oracle(victim, scale.query_images, **answer)
    copy = steal(oracle, data, scale, seed)
    asked = mea.Oracle(copy)
    return {
        "share": share,
        "attack": attack,
        "seed": seed,
        "queries": oracle.queries,
        "victim_accuracy": proof.accuracy(mea.Oracle(victim), data.test),
        "accuracy": proof.accuracy(asked, data.test),
        "wsr": proof.watermark_success_rate(asked, KEY, data.test).value,
        "seconds": copy.card["seconds"],
    }


def jobs() -> list[tuple[float, str, int]]:
    """Strengths, attacks and seeds; seed by seed, so that an early look is at all attacks.

    The stronger watermark and the further attacks have two seeds, the others three.
    """
    fewer = [(share, attack) for share in SHARES[1:] for attack in ATTACKS]
    fewer += [(SHARES[0], attack) for attack in MORE_ATTACKS]
    found = []
    for seed in SEEDS:
        chosen = [(SHARES[0], attack) for attack in ATTACKS] + (fewer if seed in FEWER_SEEDS else [])
        found += [(share, attack, seed) for share, attack in chosen]
    return found


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
