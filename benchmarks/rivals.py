"""The rows of the bench of rivals: every mark meets the same adversaries, on the same images, networks and seeds.

A mark is whatever an owner can recognise a surrogate by: a watermark, altered answers, or no change of the model at all.
Each gives a suspect one number, and the same number of independent clean models says what it is worth.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

import mea_lib as mea
from benchmarks import owners, removals
from mea_lib import proof
from mea_lib.data import ImageSet
from mea_lib.defences import DAWN
from mea_lib.extraction import Distillation, Jacobian, Knockoff
from mea_lib.models import ImageClassifier
from mea_lib.proof.dataset_inference import ConfidenceRegressor, separation
from mea_lib.proof.rates import target_rate
from mea_lib.removal.transfer import as_images_of
from mea_lib.watermarks import (
    ClassFeature,
    Composite,
    DeepTracer,
    Entangled,
    EntangledKey,
    MarginBased,
    TriggerKey,
    TriggerSet,
)
from mea_lib.watermarks.base import Watermark
from mea_lib.watermarks.class_feature import largest_cluster
from mea_lib.watermarks.deep_tracer import select_key_images
from mea_lib.watermarks.foreign_class import ForeignClass, choose_foreign_key
from mea_lib.watermarks.mosaic import choose_mosaic_key, mosaics

KEY = owners.KEYS[owners.FIRST_KEY]
# The classes of the released code for Fashion-MNIST.
ENTANGLED_KEY = EntangledKey("Bag", "T-shirt/top")
DAWN_KEY = "a secret of the owner's that no client knows"
CANDIDATES, SELECTED = 5_000, 200  # mosaics that the owner chooses from, and how many are kept
ERRORS = 500  # images that the owner's model gets wrong
PRIVATE = 200  # private images, and as many public ones, of dataset inference
# Of each image of the foreign class, in two epochs; the paper shows it once in each of 100.
FOREIGN_REPEATS = 50
NULL_MODELS = 30
FIRST_NULL_SEED = 1_000
# Of a trigger image. The released .1, in 200 epochs, leaves the victim of two with .04 of its triggers; 1 with .98.
TRIGGER_WEIGHT = 1.0
FIFTH = 5  # part of the query budget of the adversary who asks for less, and trains in as many steps


class Number(NamedTuple):
    """What a suspect shows of a mark.

    Attributes:
        value: a rate; of dataset inference a difference of confidences from −2 to 2.
        queries: that it took.
    """

    value: float
    queries: int


@dataclass(frozen=True)
class Marked:
    """What an owner has of a mark.

    Attributes:
        api: what is sold: the owner's model, but where answers are altered.
        number: of a suspect.
        seconds: of all trainings from the clean model on.
    """

    api: nn.Module
    number: Callable[[mea.Oracle], Number]
    seconds: float


def _seconds(*models: nn.Module) -> float:
    return sum(model.card["seconds"] for model in models)


def _accuracy(model: nn.Module, data: mea.Data) -> float:
    return proof.accuracy(mea.Oracle(model), data.test)


def _rate_on(images: torch.Tensor, target: int | torch.Tensor) -> Callable[[mea.Oracle], Number]:
    def number(suspect: mea.Oracle) -> Number:
        return Number(target_rate(suspect, images, target).value if len(images) else 0.0, len(images))

    return number


def _of_pair(data: mea.Data, scale: mea.Scale, seed: int, method: Watermark) -> Marked:
    """A watermark whose samples are combined of two classes."""
    clean = owners.clean_model(data, scale, seed)
    victim = method.embed(data.owner, KEY, scale, seed=seed, pretrained=clean)

    def number(suspect: mea.Oracle) -> Number:
        rate = proof.watermark_success_rate(suspect, KEY, data.test, scale.verification_samples)
        return Number(rate.value, rate.trials)

    return Marked(victim, number, _seconds(victim))


def _entangled(data: mea.Data, scale: mea.Scale, seed: int) -> Marked:
    clean = owners.clean_model(data, scale, seed)
    asked = {"seed": seed, "pretrained": clean}
    victim = Entangled().embed(data.owner, ENTANGLED_KEY, scale, **asked)
    samples = Entangled().queries(data.owner, ENTANGLED_KEY, scale, data.test, **asked)
    target = data.test.class_index(ENTANGLED_KEY.target)
    return Marked(victim, _rate_on(samples, target), _seconds(victim))


def _deep_tracer(data: mea.Data, scale: mea.Scale, seed: int, selected: bool) -> Marked:
    """Mosaics of test images, or those of the owner's own that the owner's own surrogate carries best."""
    clean = owners.clean_model(data, scale, seed)
    key = choose_mosaic_key(clean, data.owner, seed=seed)
    victim = DeepTracer().embed(data.owner, key, scale, seed=seed, pretrained=clean)
    target = data.test.class_index(key.target)
    if not selected:
        samples = mosaics(data.test, key, scale.verification_samples)
        return Marked(victim, _rate_on(samples, target), _seconds(victim))
    oracle = mea.Oracle(victim, scale.query_images)
    own = owners.EXTRACTION.extract(oracle, data.owner.subset(scale.query_images), scale, seed=seed + 100)
    candidates = mosaics(data.owner, key, CANDIDATES)
    models = {"victim": victim, "surrogate": own, "clean": clean}
    try:
        samples = select_key_images(candidates, target, SELECTED, **models)
    except ValueError:  # None is fit: the owner has no key, and every suspect goes free.
        samples = candidates[:0]
    return Marked(victim, _rate_on(samples, target), _seconds(victim, own))


def _class_feature(data: mea.Data, scale: mea.Scale, seed: int) -> Marked:
    """Digits, called the class that the clean model gives to fewest of them."""
    clean = owners.clean_model(data, scale, seed)
    digits = mea.load("digits", scale).owner
    called = mea.Oracle(clean)(as_images_of(clean, digits).images).argmax(1)
    counts = torch.bincount(called, minlength=len(data.owner.classes))
    target = data.owner.classes[int(counts.argmin())]
    key = choose_foreign_key(clean, digits, data.owner, target, seed=seed)
    method = ClassFeature(first=ForeignClass(FOREIGN_REPEATS))
    before = method.first.train(data.owner, key, scale, seed=seed, pretrained=clean)
    victim = method.embed(data.owner, key, scale, seed=seed, pretrained=clean)

    def number(suspect: mea.Oracle) -> Number:
        return Number(largest_cluster(suspect(key.images))[1], len(key.images))

    return Marked(victim, number, _seconds(before, victim))


def _margin_based(data: mea.Data, scale: mea.Scale, seed: int) -> Marked:
    """The clean model that it goes on from has not seen the trigger images either."""
    key = TriggerKey(seed=seed)
    triggers = TriggerSet.drawn_from(data.owner, key)
    clean = mea.train_clean(triggers.rest, scale, seed=seed)
    victim = MarginBased(weight=TRIGGER_WEIGHT).embed(data.owner, key, scale, seed=seed, pretrained=clean)
    return Marked(victim, _rate_on(triggers.images, triggers.labels), _seconds(victim))


def _dawn(data: mea.Data, scale: mea.Scale, seed: int) -> Marked:
    clean = owners.clean_model(data, scale, seed)
    api = DAWN(clean, f"{DAWN_KEY}, {seed}")
    altered = api.altered(data.queries[: scale.query_images])
    return Marked(api, _rate_on(altered.images, altered.labels), 0.0)


def _errors(data: mea.Data, scale: mea.Scale, seed: int) -> Marked:
    clean = owners.clean_model(data, scale, seed)
    number = min(ERRORS, int((mea.Oracle(clean)(data.test.images).argmax(1) != data.test.labels).sum()))
    errors = proof.error_queries(mea.Oracle(clean), data.test, number, seed=seed)
    return Marked(clean, _rate_on(errors.images, errors.answers), 0.0)


def _dataset(data: mea.Data, scale: mea.Scale, seed: int) -> Marked:
    """One half of the images trains the regressor, as in `proof.verify_dataset`, the other is for suspects."""
    clean = owners.clean_model(data, scale, seed)
    method = proof.DatasetInference(seed=seed)
    halves = [_halves(images, seed) for images in (data.owner, data.test)]  # private, public
    learnt = [method.embedding.distances(mea.Oracle(clean), first).values for first, _ in halves]
    regressor = ConfidenceRegressor(*learnt, method)

    def number(suspect: mea.Oracle) -> Number:
        found = [method.embedding.distances(suspect, second) for _, second in halves]
        told = separation(*(regressor(one.values) for one in found), method)
        return Number(told.difference if told else 0.0, sum(one.queries for one in found))

    return Marked(clean, number, 0.0)


def _halves(images: ImageSet, seed: int) -> tuple[ImageSet, ImageSet]:
    number = min(PRIVATE, len(images) // 2 * 2)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[:number]
    return images.subset(order[::2]), images.subset(order[1::2])


MARKS: dict[str, Callable[[mea.Data, mea.Scale, int], Marked]] = {
    "MEA-Defender": partial(_of_pair, method=owners.METHODS["MEA-Defender"]),
    "runner-up": partial(_of_pair, method=owners.METHODS["runner-up"]),
    "Composite Backdoor": partial(_of_pair, method=Composite()),
    "Entangled Watermark": _entangled,
    "margin-based": _margin_based,
    "DeepTracer": partial(_deep_tracer, selected=False),
    "DeepTracer, chosen mosaics": partial(_deep_tracer, selected=True),
    "Class-Feature": _class_feature,
    "DAWN": _dawn,
    "dataset inference": _dataset,
    "AKH": _errors,
}


class Attack(NamedTuple):
    """An extraction, and what it is sold.

    Attributes:
        method: with its settings.
        answer: what the API sells.
        part: of the query budget; who asks for a fifth trains five times the epochs, in as many steps.
    """

    method: Distillation
    answer: str = "soft"
    part: int = 1


ATTACKS = {
    "distillation, T = 4": Attack(owners.EXTRACTION),
    "distillation, T = 1": Attack(Distillation(temperature=1.0)),
    "Jacobian, T = 4": Attack(Jacobian(temperature=4.0)),
    "Knockoff, adaptive, a fifth": Attack(Knockoff(strategy="adaptive"), part=FIFTH),
    "hard labels": Attack(Distillation(temperature=1.0), "hard"),
}
REMOVED_FROM = "distillation, T = 4"
# From that surrogate; names and strengths of the study of removals.
REMOVALS = {
    "fine-tuning, held-out, tenfold rate": 16,
    "pruning": 0.5,
    "WRK, tenfold rate": 2,
}
VICTIM, CLEAN = "victim", "clean models"


@lru_cache(maxsize=1)
def marked(data: mea.Data, scale: mea.Scale, mark: str, seed: int) -> Marked:
    """The owner's, kept for the next job, which is most often of the same mark."""
    return MARKS[mark](data, scale, seed)


@lru_cache(maxsize=1)
def owners_accuracies(data: mea.Data, scale: mea.Scale, mark: str, seed: int) -> dict[str, float]:
    """Of the clean model and of the API; kept as `marked` is."""
    models = {"clean": owners.clean_model(data, scale, seed), "victim": marked(data, scale, mark, seed).api}
    return {f"{name}_accuracy": _accuracy(model, data) for name, model in models.items()}


@lru_cache(maxsize=1)
def null_models(data: mea.Data, scale: mea.Scale) -> tuple[ImageClassifier, ...]:
    """Independent clean models: trained as the owner trains, on the images and labels of the other party."""
    seeds = range(FIRST_NULL_SEED, FIRST_NULL_SEED + NULL_MODELS)
    return tuple(mea.train_clean(data.adversary, scale, seed=seed) for seed in seeds)


@lru_cache(maxsize=1)
def null_accuracy(data: mea.Data, scale: mea.Scale) -> float:
    """The mean of the null models, the same for every mark and seed."""
    return float(np.mean([_accuracy(model, data) for model in null_models(data, scale)]))


def extracted(data: mea.Data, scale: mea.Scale, api: nn.Module, attack: str, seed: int) -> ImageClassifier:
    """The adversary's model."""
    method, answer, part = ATTACKS[attack]
    oracle = mea.Oracle(api, scale.query_images // part, answer=answer)
    longer = scale.adversary_but(epochs=part * scale.adversary.epochs)
    # With labels, which only an adaptive adversary looks at. Those held out are in nobody's pool.
    return method.extract(oracle, data.adversary.subset(scale.query_images), longer, seed=seed)


def run_one(data: mea.Data, scale: mea.Scale, mark: str, seed: int, case: str) -> dict:
    """What the mark's number is for the owner's API, a surrogate, one after a removal, or the clean models."""
    own = marked(data, scale, mark, seed)
    row = {"mark": mark, "seed": seed, "case": case} | owners_accuracies(data, scale, mark, seed)
    if case == CLEAN:
        models = null_models(data, scale)
        found = [own.number(mea.Oracle(model)) for model in models]
        values = [one.value for one in found]
        row |= {"number": max(values), "numbers": values, "proof_queries": found[0].queries}
        return row | {"accuracy": null_accuracy(data, scale), "seconds": _seconds(*models)}
    suspect, seconds = own.api, own.seconds
    if case != VICTIM:
        attack = case if case in ATTACKS else REMOVED_FROM
        suspect = extracted(data, scale, own.api, attack, seed)
        if case in REMOVALS:
            before = _accuracy(suspect, data)
            given = removals.Case(suspect, before, KEY.target, data, data.held_out, scale, seed)
            suspect = removals.REMOVALS[case](given, REMOVALS[case])
        seconds = _seconds(suspect)
    found = own.number(mea.Oracle(suspect))
    row |= {"number": found.value, "proof_queries": found.queries}
    return row | {"accuracy": _accuracy(suspect, data), "seconds": seconds}
