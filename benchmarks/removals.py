"""The rows of the study of removals: from a victim, a surrogate or a weaker watermark, and what is left.

Victims go on from clean models, as in the book; those from scratch are there to compare them with. The baseline is an
adversary who steals nothing: a model of the labelled images alone, with which the removals work.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

import mea_lib as mea
from benchmarks import owners
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
from mea_lib.removal.transfer import as_images_of, with_head_of
from mea_lib.removal.wrk import ORIGINAL_TRAINING
from mea_lib.training import TrainingSettings
from mea_lib.watermarks import Patch, PatchKey, patch

EPOCHS = 4  # epochs of a fine-tuning, where they are not what is varied
LAYER_EPOCHS = 8  # epochs of a new output layer after a transfer; half of them leave it some points short
CALIBRATION = 500  # images for the ranges of int8, and for the search for triggers
WAY_SAMPLES = 500  # mixes of each other way
PATCH = "patch"  # the method of the weaker watermark


def patch_key(key: str) -> PatchKey:
    """The patch that stands for this key's target class."""
    return PatchKey(owners.KEYS[key].target)


def _late_patch(data: mea.Data, scale: mea.Scale, method: str, key: str, seed: int) -> ImageClassifier:
    """The patch, put into a clean model by one gentle epoch: what few steps made few steps can undo."""
    gentle = scale.but(owner=scale.fine_tuning.but(epochs=1))
    clean = owners.clean_model(data, scale, seed)
    return Patch().embed(data.owner, patch_key(key), gentle, pretrained=clean, seed=seed)


# What a watermark is removed from. The last carries a weaker one, so loosely tied in that a removal which
# leaves it has not been tried hard enough.
MODELS: dict[str, Callable[[mea.Data, mea.Scale, str, str, int], ImageClassifier]] = {
    "victim": owners.victim,
    "surrogate": owners.surrogate,
    "victim from scratch": partial(owners.victim, pretrained=False),
    "late patch": _late_patch,
}


@dataclass(frozen=True)
class Case:
    """What a removal has to work with.

    Attributes:
        model: carries the watermark; None where there is none, and the labelled images are all there is.
        accuracy: of this model on the test images.
        target: name of the watermark's target class.
        data: its queries serve the removal too, where the adversary made the model.
        held_out: labelled images that were never queried.
        scale: of all trainings.
        seed: of all draws.
    """

    model: ImageClassifier | None
    accuracy: float | None
    target: str
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
def case_of(data: mea.Data, scale: mea.Scale, method: str, key: str, seed: int, model: str) -> Case:
    """The case of one of `MODELS`, kept for the next job, which is most often of the same model."""
    given = MODELS[model](data, scale, method, key, seed) if model in MODELS else None
    accuracy = None if given is None else proof.accuracy(mea.Oracle(given), data.test)
    return Case(given, accuracy, owners.KEYS[key].target, data, data.held_out, scale, seed)


Remove = Callable[[Case, float], ImageClassifier]


def _nothing(case: Case, strength: float) -> ImageClassifier:
    return case.model


def _labels_alone(case: Case, epochs: float, augment: bool) -> ImageClassifier:
    """A model of the held-out images and their labels, trained as an adversary does, and of no answer."""
    training = case.scale.adversary.but(epochs=int(epochs), augment=augment)
    return mea.train_clean(case.held_out, case.scale.but(owner=training), seed=case.seed)


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
    target = case.held_out.class_index(case.target)
    trigger = {"mask": triggers.masks[target], "pattern": triggers.patterns[target]}
    return case.after(Unlearn(**trigger, **case.tuning(epochs)), case.held_out)


def _wrk(case: Case, step: float, rate: float = 1.0, lowest_label: int = 0) -> ImageClassifier:
    """With a twentieth as many images as the owner has, at a multiple of the authors' rate."""
    tuning = ORIGINAL_TRAINING.but(learning_rate=rate * ORIGINAL_TRAINING.learning_rate)
    method = WRK(step=step, tuning=tuning, lowest_label=lowest_label)
    return case.after(method, case.held_out.subset(max(len(case.data.owner) // 20, method.moved)))


REMOVALS: dict[str, Remove] = {
    "nothing": _nothing,
    "held-out labels alone": partial(_labels_alone, augment=False),
    "held-out labels alone, mirrored and shifted": partial(_labels_alone, augment=True),
    "fine-tuning, queries, own soft labels": partial(_finetune, source="queries"),
    "fine-tuning, queries, own hard labels": partial(_finetune, source="queries", answers="hard"),
    "fine-tuning, held-out": partial(_finetune, source="held-out"),
    "fine-tuning, held-out, last layer": partial(_finetune, source="held-out", layers="last"),
    "fine-tuning, held-out, tenfold rate": partial(_finetune, source="held-out", rate=10),
    "relabelled mixes, queries": partial(_relabel, source="queries"),
    "relabelled mixes, held-out": partial(_relabel, source="held-out"),
    "relabelled mixes, held-out, tenfold rate": partial(_relabel, source="held-out", rate=10),
    "transfer to digits, old layer": partial(_transfer, task=_digits, read_by="old layer"),
    "transfer to digits, new layer": partial(_transfer, task=_digits, read_by="new layer"),
    "transfer to kinds of clothes, new layer": partial(_transfer, task=_kinds, read_by="new layer"),
    "pruning": partial(_prune, trained=False),
    "pruning, then fine-tuning": partial(_prune, trained=True),
    "fine-pruning": _fine_prune,
    "quantisation": _quantise,
    "distillation again": _redistil,
    "unlearning": _unlearn,
    "WRK": _wrk,
    "WRK, tenfold rate": partial(_wrk, rate=10),
    "WRK, never class 0": partial(_wrk, lowest_label=1),
    "WRK, never class 0, tenfold rate": partial(_wrk, rate=10, lowest_label=1),
}


def run_one(
    data: mea.Data,
    scale: mea.Scale,
    method: str,
    key: str,
    seed: int,
    model: str,
    removal: str,
    strength: float,
) -> dict:
    """One removal of one strength from one model of this seed.

    `second` is how often the target is second on clean images of a source class, on that where this is rarer; None of
    a model that does not know the task any more. The baseline has no model that it is taken from, and no accuracy before.
    """
    case = case_of(data, scale, method, key, seed, model)
    changed = REMOVALS[removal](case, strength)
    rate, other_rate = success(changed, data, method, key)
    held = proof.verify_runner_up(
        mea.Oracle(changed), owners.KEYS[key], data.test, owners.null_models(data, scale, seed)
    )
    accuracy = proof.accuracy(mea.Oracle(changed), data.test)
    second = [rate.value for rate in held.runner_up] if held.is_decided else None
    return {
        "method": method,
        "key": key,
        "seed": seed,
        "model": model,
        "removal": removal,
        "strength": strength,
        "accuracy_before": case.accuracy,
        "accuracy": accuracy,
        "accuracy_lost": None if case.accuracy is None else case.accuracy - accuracy,
        "wsr": rate,
        "wfpr": other_rate,
        "second": min(second) if second else None,
        "second_p": held.p_value,
        "seconds": changed.card["seconds"],
    }


def success(model: ImageClassifier, data: mea.Data, method: str, key: str) -> tuple[float, float]:
    """How often the trigger of this method is answered by the target class, and how often what is not it.

    Those are other mixes of the two source classes; for a patch, the same images without it.
    """
    suspect, secret = mea.Oracle(model), owners.KEYS[key]
    if method == PATCH:
        target = data.test.class_index(secret.target)
        others = data.test.images[data.test.labels != target][:1_000]
        return tuple(
            target_rate(suspect, images, target).value
            for images in (patch.stamp(others, patch_key(key)), others)
        )
    wrong = proof.wrong_firing_rates(suspect, secret, data.test, WAY_SAMPLES).values()
    return (
        proof.watermark_success_rate(suspect, secret, data.test).value,
        float(np.mean([rate.value for rate in wrong])),
    )
