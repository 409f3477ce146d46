"""What is left of watermark and accuracy after every removal: a victim, surrogates, a weaker watermark.

`make study STUDY=removal_study` writes results/removal_study.json; see `benchmarks.study` for two cores and
interruptions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import mea_lib as mea
from benchmarks.study import KEY, SEEDS, by_group, other_clean_models, run
from mea_lib import proof
from mea_lib.data import ImageSet
from mea_lib.detection import NeuralCleanse
from mea_lib.extraction import Distillation
from mea_lib.models import ImageClassifier
from mea_lib.proof.rates import target_rate
from mea_lib.removal import (
    WRK,
    FinePruning,
    FineTune,
    Prune,
    Quantise,
    Redistil,
    RelabelMixes,
    Transfer,
    Unlearn,
)
from mea_lib.removal.base import fresh_head
from mea_lib.removal.prune import largest_within
from mea_lib.removal.transfer import as_images_of, with_head_of
from mea_lib.removal.wrk import ORIGINAL_TRAINING
from mea_lib.training import TrainingSettings
from mea_lib.watermarks import Patch, PatchKey, RunnerUp, patch

PATCH = PatchKey(KEY.target)
EPOCHS = 4  # epochs of a fine-tuning, where they are not what is varied
LAYER_EPOCHS = 8  # epochs of a new output layer after a transfer; half of them leave it some points short
POINTS = 5  # of accuracy that a pruning may cost
CALIBRATION = 500  # images for the ranges of int8, and for the search for triggers
ALPHA = 0.01
WAY_SAMPLES = 500  # mixes of each other way


def _victim(data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
    return RunnerUp().embed(data.owner, KEY, scale, seed=seed)


def _surrogate(data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
    oracle = mea.Oracle(_victim(data, scale, seed), scale.query_images)
    return Distillation(temperature=4.0).extract(oracle, data.queries, scale, seed=seed)


def _late_patch(data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
    """The patch, put into a clean model by one gentle epoch: what few steps made few steps can undo."""
    clean = mea.train_clean(data.owner, scale, seed=seed)
    gentle = scale.but(owner=scale.fine_tuning.but(epochs=1))
    return Patch().embed(data.owner, PATCH, gentle, pretrained=clean, seed=seed)


# What a watermark is removed from. The last carries a weaker one, so loosely tied in that a removal which
# leaves it has not been tried hard enough.
MODELS: dict[str, Callable[[mea.Data, mea.Scale, int], ImageClassifier]] = {
    "victim": _victim,
    "copy": _surrogate,
    "late patch": _late_patch,
}
WEAKER = ("late patch",)
# The claims are of surrogates, so these have all seeds.
SEEDS_OF = {"victim": SEEDS[:1], "copy": SEEDS, "late patch": SEEDS[:1]}


@dataclass(frozen=True)
class Case:
    """What a removal has to work with.

    Attributes:
        model: carries the watermark.
        accuracy: of this model on the test images.
        data: its queries serve the removal too, where the adversary made the model.
        held_out: labelled images that were never queried.
        scale: of all trainings.
        seed: of all draws.
    """

    model: ImageClassifier
    accuracy: float
    data: mea.Data
    held_out: ImageSet
    scale: mea.Scale
    seed: int

    def tuning(self, epochs: float = EPOCHS, rate: float = 1.0) -> dict[str, Any]:
        """Fields of a fine-tuning, its rate as a multiple of the usual one, which is a tenth of an adversary's."""
        return {"epochs": int(epochs), "learning_rate": rate * self.scale.fine_tuning.learning_rate}

    def images(self, source: str) -> ImageSet | Tensor:
        """The images of that name: those held out with their labels, or the queries, which the model labels."""
        return self.held_out if source == "held-out" else self.data.queries

    def after(self, method: mea.removal.Removal, images: ImageSet | Tensor | None) -> ImageClassifier:
        """What a removal makes of the model."""
        return method.remove(self.model, images, self.scale, seed=self.seed)


@lru_cache(maxsize=1)
def case_of(data: mea.Data, scale: mea.Scale, model: str, seed: int) -> Case:
    """The case of one of `MODELS`, kept for the next job, which is most often of the same model."""
    given = MODELS[model](data, scale, seed)
    return Case(given, proof.accuracy(mea.Oracle(given), data.test), data, data.held_out, scale, seed)


Remove = Callable[[Case, float], ImageClassifier]


def _nothing(case: Case, strength: float) -> ImageClassifier:
    return case.model


def _finetune(
    case: Case, epochs: float, source: str, layers: str = "all", answers: str = "soft", rate: float = 1.0
) -> ImageClassifier:
    """On held-out images with their labels, or on queries, for which the model itself answers.

    It gives its own soft labels already, so these teach little; its own hard labels teach it to be surer.
    """
    tuning = case.tuning(epochs, rate)
    return case.after(FineTune(**tuning, layers=layers, answers=answers), case.images(source))


def _relabel(case: Case, share: float, source: str, rate: float = 1.0) -> ImageClassifier:
    return case.after(RelabelMixes(**case.tuning(rate=rate), share=share), case.images(source))


def _digits(case: Case) -> ImageSet:
    return as_images_of(case.model, mea.load("digits", case.scale).owner)


# Another task on images of the same kind, as STL-10 is to CIFAR-10 in the paper.
KINDS = {
    "top": ("T-shirt/top", "Pullover", "Coat", "Shirt"),
    "trousers": ("Trouser",),
    "dress": ("Dress",),
    "shoes": ("Sandal", "Sneaker", "Ankle boot"),
    "bag": ("Bag",),
}


def _kinds(case: Case) -> ImageSet:
    kind = {name: number for number, names in enumerate(KINDS.values()) for name in names}
    table = torch.tensor([kind[name] for name in case.held_out.classes])
    return replace(case.held_out, labels=table[case.held_out.labels], classes=tuple(KINDS), name="kinds")


class NewLayer(FineTune):
    """A fine-tuning of an output layer that has everything to learn, so it trains as an adversary does."""

    def training(self, scale: mea.Scale) -> TrainingSettings:
        """How the model is trained on."""
        return scale.adversary


def _transfer(case: Case, epochs: float, task: Callable[[Case], ImageSet], read_by: str) -> ImageClassifier:
    """To another task and back: under the output layer of old, or under one that held-out images teach anew."""
    scale = case.scale.adversary_but(epochs=int(epochs), batch_size=64)
    moved = Transfer().transfer(case.model, task(case), scale, seed=case.seed)
    back = with_head_of(case.model, moved)
    back.card = moved.card
    if read_by == "old layer":
        return back
    back.head = fresh_head(back, len(case.held_out.classes), case.seed)
    scale = scale.adversary_but(epochs=LAYER_EPOCHS, learning_rate=5 * scale.adversary.learning_rate)
    adapted = NewLayer(layers="last").remove(back, case.held_out, scale, seed=case.seed)
    adapted.card["seconds"] += moved.card["seconds"]
    return adapted


def _prune(case: Case, share: float, trained: bool) -> ImageClassifier:
    return case.after(Prune(**case.tuning(), share=share), case.held_out if trained else None)


def _fine_prune(case: Case, share: float) -> ImageClassifier:
    return case.after(FinePruning(**case.tuning(), share=share), case.held_out)


def _quantise(case: Case, bits: float) -> ImageClassifier:
    return case.after(Quantise(int(bits)), case.held_out.subset(CALIBRATION))


def _redistil(case: Case, temperature: float) -> ImageClassifier:
    return case.after(Redistil(Distillation(temperature)), case.data.queries)


def _unlearn(case: Case, epochs: float) -> ImageClassifier:
    """The trigger of the target class, which somebody must have told the adversary."""
    triggers = NeuralCleanse().detect(case.model, case.held_out.images[:CALIBRATION], seed=case.seed)
    target = case.held_out.class_index(KEY.target)
    trigger = {"mask": triggers.masks[target], "pattern": triggers.patterns[target]}
    return case.after(Unlearn(**trigger, **case.tuning(epochs)), case.held_out)


def _wrk(case: Case, step: float, rate: float = 1.0) -> ImageClassifier:
    """With a twentieth of the owner's images, at a multiple of the authors' rate."""
    tuning = ORIGINAL_TRAINING.but(learning_rate=rate * ORIGINAL_TRAINING.learning_rate)
    method = WRK(step=step, tuning=tuning)
    return case.after(method, case.held_out.subset(max(len(case.data.owner) // 20, method.moved)))


@dataclass(frozen=True)
class Removal:
    """One removal, at several strengths.

    Attributes:
        remove: gives the changed model of a case.
        unit: what a strength counts.
        strengths: from weak to strong, of the victim and its surrogate.
        weaker: those that the weaker watermark meets.
    """

    remove: Remove
    unit: str
    strengths: tuple[float, ...]
    weaker: tuple[float, ...]


TENTHS = tuple(number / 10 for number in range(1, 10))
REMOVALS: dict[str, Removal] = {
    "nothing": Removal(_nothing, "none", (0,), (0,)),
    "fine-tuning, queries, own probabilities": Removal(
        partial(_finetune, source="queries"), "epochs", (4,), (4,)
    ),
    "fine-tuning, queries, own labels": Removal(
        partial(_finetune, source="queries", answers="hard"), "epochs", (4,), (4,)
    ),
    "fine-tuning, held-out": Removal(partial(_finetune, source="held-out"), "epochs", (1, 4, 16), (16,)),
    "fine-tuning, held-out, last layer": Removal(
        partial(_finetune, source="held-out", layers="last"), "epochs", (16,), (16,)
    ),
    "fine-tuning, held-out, tenfold rate": Removal(
        partial(_finetune, source="held-out", rate=10), "epochs", (4, 16), (16,)
    ),
    "relabelled mixes, queries": Removal(
        partial(_relabel, source="queries"), "mixes for each clean image", (0.5,), (0.5,)
    ),
    "relabelled mixes, held-out": Removal(
        partial(_relabel, source="held-out"), "mixes for each clean image", (0.1, 0.5, 1), (1,)
    ),
    "relabelled mixes, held-out, tenfold rate": Removal(
        partial(_relabel, source="held-out", rate=10), "mixes for each clean image", (1,), (1,)
    ),
    "transfer to digits, old layer": Removal(
        partial(_transfer, task=_digits, read_by="old layer"), "epochs", (4, 16), (16,)
    ),
    "transfer to digits, new layer": Removal(
        partial(_transfer, task=_digits, read_by="new layer"), "epochs", (4, 16), (16,)
    ),
    "transfer to kinds of clothes, new layer": Removal(
        partial(_transfer, task=_kinds, read_by="new layer"), "epochs", (4,), (4,)
    ),
    "pruning": Removal(partial(_prune, trained=False), "share of weights cut", TENTHS, TENTHS),
    "pruning, then fine-tuning": Removal(
        partial(_prune, trained=True), "share of weights cut", (0.3, 0.5, 0.7, 0.9), (0.9,)
    ),
    "fine-pruning": Removal(_fine_prune, "share of channels cut", (0.5, 0.8, 0.95), (0.95,)),
    "quantisation": Removal(_quantise, "bits", (8, 4, 3), (8, 4, 3)),
    "distillation again": Removal(_redistil, "temperature", (4,), (4,)),
    "unlearning": Removal(_unlearn, "epochs", (EPOCHS,), (EPOCHS,)),
    "WRK": Removal(_wrk, "step, in standard deviations", (2,), (2,)),
    "WRK, tenfold rate": Removal(partial(_wrk, rate=10), "step, in standard deviations", (1, 2, 3), (2,)),
}


def run_one(data: mea.Data, scale: mea.Scale, model: str, removal: str, strength: float, seed: int) -> dict:
    """One removal of one strength from one model of this seed; `victim_accuracy` is that before the removal.

    `second` is how often the target is second on clean images of a source class, on that where this is rarer.
    """
    case = case_of(data, scale, model, seed)
    changed = REMOVALS[removal].remove(case, strength)
    rate, other_rate = mark(changed, data, model)
    clean = other_clean_models(data, scale, seed)
    held = proof.verify_runner_up(mea.Oracle(changed), KEY, data.test, clean)
    return {
        "model": model,
        "removal": removal,
        "strength": strength,
        "seed": seed,
        "victim_accuracy": case.accuracy,
        "accuracy": proof.accuracy(mea.Oracle(changed), data.test),
        "wsr": rate,
        "wfpr": other_rate,
        "second": min(rate.value for rate in held.second),
        "second_p": held.p_value,
        "seconds": changed.card["seconds"],
    }


def mark(model: ImageClassifier, data: mea.Data, kind: str) -> tuple[float, float]:
    """How often the trigger of this kind of model is answered by the target class, and how often what is not it.

    Those are other mixes of the two source classes; for a patch, the same images without it.
    """
    suspect = mea.Oracle(model)
    if kind in WEAKER:
        target = data.test.class_index(PATCH.target)
        others = data.test.images[data.test.labels != target][:1_000]
        return tuple(
            target_rate(suspect, images, target).value for images in (patch.stamp(others, PATCH), others)
        )
    wrong = proof.wrong_firing_rates(suspect, KEY, data.test, WAY_SAMPLES).values()
    return (
        proof.watermark_success_rate(suspect, KEY, data.test).value,
        float(np.mean([rate.value for rate in wrong])),
    )


def jobs() -> list[tuple[str, str, float, int]]:
    """Models, removals, strengths and seeds; seed by seed, so that an early look is at all cases.

    Surrogates, of which the claims are, have three seeds; victim and weaker watermark, to compare them with,
    have one.
    """
    return [
        (model, name, strength, seed)
        for seed in SEEDS
        for model in MODELS
        if seed in SEEDS_OF[model]
        for name, removal in REMOVALS.items()
        for strength in (removal.weaker if model in WEAKER else removal.strengths)
    ]


def settings() -> dict:
    """What was studied."""
    return {
        "key": KEY.to_json(),
        "models": list(MODELS),
        "weaker_marks": list(WEAKER),
        "removals": {
            name: {
                "unit": removal.unit,
                "strengths": list(removal.strengths),
                "strengths_for_weaker_marks": list(removal.weaker),
            }
            for name, removal in REMOVALS.items()
        },
        "epochs": EPOCHS,
        "epochs_of_a_new_layer": LAYER_EPOCHS,
        "points_of_accuracy": POINTS,
        "calibration_images": CALIBRATION,
        "mixes_of_each_other_way": WAY_SAMPLES,
        "alpha": ALPHA,
        "seeds": {model: list(seeds) for model, seeds in SEEDS_OF.items()},
    }


def summary(rows: list[dict]) -> dict:
    """Means by model, removal and strength, and how much pruning each model bears at which WSR."""
    lines = by_group(rows, ("model", "removal", "strength"), "wfpr", "second")
    for line in lines:
        group = [
            row for row in rows if all(row[name] == line[name] for name in ("model", "removal", "strength"))
        ]
        line["convicted_by_runner_up"] = sum(row["second_p"] < ALPHA for row in group)
    return {
        "removals": lines,
        "largest_pruning": largest_pruning(rows),
    }


def largest_pruning(rows: list[dict]) -> list[dict]:
    """For each model: the largest pruning of each seed at a cost of at most `POINTS`, and the WSR there."""
    largest = []
    for model in dict.fromkeys(row["model"] for row in rows):
        shares, marks = [], []
        for seed in sorted({row["seed"] for row in rows if row["model"] == model}):
            group = [row for row in rows if (row["model"], row["seed"]) == (model, seed)]
            curve = {row["strength"]: row for row in group if row["removal"] in ("nothing", "pruning")}
            share = largest_within({s: row["accuracy"] for s, row in curve.items()}, POINTS)
            shares.append(share)
            marks.append(curve[share]["wsr"])
        line = {"model": model, "shares": shares, "wsr": marks}
        largest.append(line | {"mean_wsr": float(np.mean(marks)), "least_wsr": min(marks)})
    return largest


if __name__ == "__main__":
    run("removal_study", jobs(), run_one, summary, settings())
