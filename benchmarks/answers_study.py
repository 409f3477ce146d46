"""What the API lets out: rounded, cut and noisy soft labels, hard labels, and marked answers, over seeds.

`make study STUDY=answers_study` writes results/answers_study.json; see `benchmarks.study` for two cores and
interruptions.
"""

from collections.abc import Callable

from torch import nn

import mea_lib as mea
from benchmarks.study import KEY, SEEDS, by_group, run
from mea_lib import proof
from mea_lib.data import ImageSet
from mea_lib.defences import MarkedAnswers, MarkedLabels
from mea_lib.extraction import Distillation, Jacobian
from mea_lib.models import ImageClassifier
from mea_lib.training.plain import as_plain
from mea_lib.watermarks import MEADefender, RunnerUp, Watermark

# Both go on from the owner's clean model, as in the chapters.
METHODS: dict[str, Watermark] = {"MEA-Defender": MEADefender(), "runner-up": RunnerUp(share=0.4)}
AXES = ("method", "api", "attack", "seed")
UNMARKED = "none"  # the method of a clean model
PATIENT_EPOCHS = 10

Wrap = Callable[[ImageClassifier, ImageSet], nn.Module]


def _plain(model: ImageClassifier, images: ImageSet) -> ImageClassifier:
    return model


def _marked(model: ImageClassifier, images: ImageSet) -> MarkedAnswers:
    return MarkedAnswers(model, KEY, images)


def _labels(rate: float, choice: str) -> Wrap:
    return lambda model, images: MarkedLabels(model, KEY, images, rate, choice)


# What stands before the model, and how the API answers. The model is the victim, unless the name says clean.
APIS: dict[str, tuple[Wrap, dict]] = {
    "probabilities": (_plain, {}),
    "two decimals": (_plain, {"decimals": 2}),
    "largest two": (_plain, {"top_k": 2}),
    "noise 0.1": (_plain, {"noise": 0.1}),
    "labels": (_plain, {"answer": "hard"}),
    "marked probabilities": (_marked, {}),
    "clean model, marked": (_marked, {}),
    "marked, two decimals": (_marked, {"decimals": 2}),
    "labels, a tenth at random": (_labels(0.1, "random"), {"answer": "hard"}),
    "labels, border 0.05": (_labels(0.05, "border"), {"answer": "hard"}),
    "labels, border 0.1": (_labels(0.1, "border"), {"answer": "hard"}),
    "labels, border 0.2": (_labels(0.2, "border"), {"answer": "hard"}),
    "clean model, labels, border 0.05": (_labels(0.05, "border"), {"answer": "hard"}),
    "clean model, labels, border 0.1": (_labels(0.1, "border"), {"answer": "hard"}),
}


Extract = Callable[[mea.Oracle, mea.Data, mea.Scale, int], ImageClassifier]


def _distil(temperature: float, epochs: int | None = None) -> Extract:
    def extract(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
        return Distillation(temperature).extract(oracle, data.queries, _longer(scale, epochs), seed=seed)

    return extract


def _jacobian(temperature: float, part: int = 4, epochs: int | None = None) -> Extract:
    """From one `part` of the adversary's photographs, doubled until they are as many as all of them."""

    def extract(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
        photographs, rounds = len(data.queries) // part, part.bit_length() - 1
        method = Jacobian(temperature, seed_images=photographs, rounds=rounds)
        return method.extract(oracle, data.queries, _longer(scale, epochs), seed=seed)

    return extract


def _longer(scale: mea.Scale, epochs: int | None) -> mea.Scale:
    """The scale with so many epochs of the adversary; None leaves them."""
    return scale.adversary_but(epochs=epochs) if epochs else scale


ATTACKS: dict[str, Extract] = {
    "T = 1": _distil(1.0),
    "T = 4": _distil(4.0),
    "T = 1, patient": _distil(1.0, PATIENT_EPOCHS),
    "Jacobian, T = 1": _jacobian(1.0),
    "Jacobian, T = 4": _jacobian(4.0),
    "Jacobian from half, T = 4, patient": _jacobian(4.0, 2, PATIENT_EPOCHS),
}
# Which adversary meets which API. Zeros have no logarithm, so cut answers are learnt at T = 1.
CASES: tuple[tuple[str, str], ...] = (
    ("probabilities", "T = 1"),
    ("probabilities", "T = 4"),
    ("probabilities", "T = 1, patient"),
    ("probabilities", "Jacobian, T = 4"),
    ("marked probabilities", "T = 1"),
    ("marked probabilities", "T = 4"),
    ("marked probabilities", "T = 1, patient"),
    ("marked probabilities", "Jacobian, T = 4"),
    ("marked probabilities", "Jacobian from half, T = 4, patient"),
    ("labels", "T = 1"),
    ("labels, border 0.1", "T = 1"),
    ("labels, a tenth at random", "T = 1"),
    ("labels, border 0.05", "T = 1"),
    ("labels, border 0.2", "T = 1"),
    ("clean model, labels, border 0.05", "T = 1"),
    ("clean model, labels, border 0.1", "T = 1"),
    ("labels, border 0.1", "T = 1, patient"),
    ("clean model, marked", "T = 1"),
    ("clean model, marked", "T = 1, patient"),
    ("two decimals", "T = 1"),
    ("largest two", "T = 1"),
    ("noise 0.1", "T = 1"),
    ("marked, two decimals", "T = 1, patient"),
    ("two decimals", "Jacobian, T = 1"),
    ("largest two", "Jacobian, T = 1"),
    ("noise 0.1", "Jacobian, T = 1"),
)


def run_one(data: mea.Data, scale: mea.Scale, method: str, api: str, attack: str, seed: int) -> dict:
    """One surrogate through one API of a method's victim, or of the clean model, of this seed."""
    behind = clean = mea.train_clean(data.owner, scale, seed=seed)
    if method != UNMARKED:
        behind = METHODS[method].embed(data.owner, KEY, scale, seed=seed, pretrained=clean)
    wrap, form = APIS[api]
    model = wrap(behind, data.owner)
    surrogate = ATTACKS[attack](mea.Oracle(model, scale.query_images, **form), data, scale, seed)
    suspect = mea.Oracle(surrogate)
    return {
        "method": method,
        "api": api,
        "attack": attack,
        "seed": seed,
        "clean_accuracy": proof.accuracy(mea.Oracle(clean), data.test),
        "victim_accuracy": proof.accuracy(mea.Oracle(behind), data.test),
        "victim_wsr": proof.watermark_success_rate(mea.Oracle(behind), KEY, data.test).value,
        "api_accuracy": proof.accuracy(mea.Oracle(model, **form), data.test),
        "accuracy": proof.accuracy(suspect, data.test),
        "wsr": proof.watermark_success_rate(suspect, KEY, data.test).value,
        "seconds": surrogate.card["seconds"],
    }


def jobs() -> list[tuple[str, str, str, int]]:
    """Methods, cases and seeds; seed by seed, so that an early look is at all cases."""
    return [
        (method, api, attack, seed)
        for seed in SEEDS
        for api, attack in CASES
        for method in ((UNMARKED,) if api.startswith("clean") else METHODS)
    ]


def settings() -> dict:
    """What was studied."""
    return {
        "methods": {name: as_plain(method) for name, method in METHODS.items()},
        "apis": list(APIS),
        "attacks": list(ATTACKS),
        "cases": [" / ".join(case) for case in CASES],
        "seeds": list(SEEDS),
        "patient_epochs": PATIENT_EPOCHS,
    }


def summary(rows: list[dict]) -> list[dict]:
    """By method, API and adversary: means over seeds, and what the API itself loses by the way it answers."""
    return by_group(rows, ("method", "api", "attack"), "api_accuracy")


if __name__ == "__main__":
    run("answers_study", jobs(), run_one, summary, settings(), axes=AXES)
