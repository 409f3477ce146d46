"""Adversaries who know the method but not the key: a plain API and one with a moved border, over seeds.

`make study STUDY=adaptive_study` writes results/adaptive_study.json; see `benchmarks.study` for two cores and
interruptions.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
from torch import Tensor, nn

import mea_lib as mea
from benchmarks.study import KEY, SEEDS, by_group, other_clean_models, run
from mea_lib import proof
from mea_lib.defences import MarkedLabels
from mea_lib.detection import KeySearch, RunnerUps, SuspectedKey
from mea_lib.extraction import CleanAnswers, Distillation, Extraction, MixedDistillation
from mea_lib.models import ImageClassifier
from mea_lib.removal import MixUpLabels
from mea_lib.watermarks import RunnerUp

ORDINARY = Distillation(temperature=4.0)
BORDER_RATE = 0.1
RANKED = 10_000  # of the adversary's images, by whose answers the key is ranked
ALPHA = 0.01
TESTS = ("mark", "second", "border")  # on mixes, by runner-ups, at the moved border

# A surrogate, the seconds all its trainings took, and what a search named, where there was one.
Loot = tuple[ImageClassifier, float, SuspectedKey | None]


def _extract(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int, method: Extraction) -> Loot:
    surrogate = method.extract(oracle, data.queries, scale, seed=seed)
    return surrogate, surrogate.card["seconds"], None


def _search_and_forget(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> Loot:
    """The runner-up that a search of the API names is taken out of the answers."""
    answers = oracle(data.queries)
    suspected = _search(oracle, answers, data, seed)
    names = (suspected.first, suspected.second, suspected.target)
    forgetful = CleanAnswers(suspected=tuple(map(data.owner.class_index, names)))
    surrogate = forgetful.train_surrogate(data.queries, forgetful.clean(answers), scale, seed=seed)
    return surrogate, surrogate.card["seconds"], suspected


def _search_and_relabel(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> Loot:
    """An ordinary surrogate after MixUp-labelled fine-tuning on the pair that a search of the API names."""
    answers = oracle(data.queries)
    suspected = _search(oracle, answers, data, seed)
    pair = (data.owner.class_index(suspected.first), data.owner.class_index(suspected.second))
    return *_relabel(answers, data, scale, seed, MixUpLabels(pairs=(pair,))), suspected


def _relabel_all(oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> Loot:
    """An ordinary surrogate after MixUp-labelled fine-tuning on all pairs."""
    return *_relabel(oracle(data.queries), data, scale, seed, MixUpLabels()), None


def _relabel(
    answers: Tensor, data: mea.Data, scale: mea.Scale, seed: int, method: MixUpLabels
) -> tuple[ImageClassifier, float]:
    """An ordinary surrogate of these answers after the removal, and the seconds of both trainings."""
    surrogate = ORDINARY.train_surrogate(data.queries, answers, scale, seed=seed)
    freed = method.remove(surrogate, _labelled(data, answers), scale, seed=seed)
    return freed, surrogate.card["seconds"] + freed.card["seconds"]


def _labelled(data: mea.Data, answers: Tensor) -> mea.ImageSet:
    """The adversary's images with the labels that they bought."""
    return mea.ImageSet(data.queries, answers.argmax(1), data.owner.classes, "queries")


def _search(oracle: mea.Oracle, answers: Tensor, data: mea.Data, seed: int) -> SuspectedKey:
    return KeySearch().detect(oracle, data.queries, data.owner.classes, answers=answers, seed=seed).best


def _plain(victim: ImageClassifier, images: mea.ImageSet) -> ImageClassifier:
    return victim


def moved_border(victim: ImageClassifier, images: mea.ImageSet) -> MarkedLabels:
    """The defence: clean images beyond the border are answered with the target."""
    return MarkedLabels(victim, KEY, images, BORDER_RATE)


# What stands before the model, which is the victim unless the name says clean.
APIS: dict[str, Callable[[ImageClassifier, mea.ImageSet], nn.Module]] = {
    "plain": _plain,
    "moved border": moved_border,
    "clean model": _plain,
}
ATTACKS: dict[str, Callable[..., Loot]] = {
    "distillation, T = 4": partial(_extract, method=ORDINARY),
    "distillation, T = 1": partial(_extract, method=Distillation(temperature=1.0)),
    "labels only": partial(_extract, method=CleanAnswers(top_k=1)),
    "largest two": partial(_extract, method=CleanAnswers(top_k=2)),
    "sharpened": partial(_extract, method=CleanAnswers(answer_temperature=0.5)),
    "search, runner-up forgotten": _search_and_forget,
    "search, pair relabelled": _search_and_relabel,
    "all pairs relabelled": _relabel_all,
    "CutMix": partial(_extract, method=MixedDistillation(temperature=4.0, kind="cutmix")),
    "MixUp": partial(_extract, method=MixedDistillation(temperature=4.0, kind="mixup")),
}
# The moved border meets those that differ in what they could do to it; of a clean model there is an ordinary
# surrogate.
ON_BORDER = ("distillation, T = 4", "search, runner-up forgotten", "all pairs relabelled")
ON_CLEAN = ("distillation, T = 4",)
MET_BY = {"plain": tuple(ATTACKS), "moved border": ON_BORDER, "clean model": ON_CLEAN}


def run_one(data: mea.Data, scale: mea.Scale, api: str, attack: str, seed: int) -> dict:
    """One surrogate through one API, of the victim or of the clean model of this seed."""
    victim = RunnerUp().embed(data.owner, KEY, scale, seed=seed)
    behind = mea.train_clean(data.owner, scale, seed=seed) if api == "clean model" else victim
    model = APIS[api](behind, data.owner)
    oracle = mea.Oracle(model)
    surrogate, seconds, suspected = ATTACKS[attack](oracle, data, scale, seed)
    sold = mea.Oracle(model)
    ranking = RunnerUps().detect(sold, data.queries[:RANKED], data.owner.classes)
    suspect = mea.Oracle(surrogate)
    clean = other_clean_models(data, scale, seed)
    owner = moved_border(victim, data.owner)
    border = proof.verify_border(suspect, owner, KEY, data.test, clean, alpha=ALPHA)
    held = proof.verify_runner_up(suspect, KEY, data.test, clean, alpha=ALPHA)
    wsr = proof.watermark_success_rate(suspect, KEY, data.test, scale.verification_samples)
    wfpr = proof.wrong_firing_rates(suspect, KEY, data.test, scale.verification_samples)
    return {
        "api": api,
        "attack": attack,
        "seed": seed,
        "queries": oracle.queries,
        "rank": ranking.rank(KEY.sources, KEY.target),
        "named": None if suspected is None else suspected._asdict(),
        "victim_accuracy": proof.accuracy(mea.Oracle(behind), data.test),
        "api_accuracy": proof.accuracy(sold, data.test),
        "accuracy": proof.accuracy(suspect, data.test),
        "wsr": wsr.value,
        "mark_p": wsr.p_value(proof.PAPER_THRESHOLD),
        "wfpr": float(np.mean([rate.value for rate in wfpr.values()])),
        "second": min(rate.value for rate in held.runner_up),
        "second_p": held.p_value,
        "border_images": border.beyond.trials,
        "border_rate": border.beyond.value,
        "this_side_rate": border.this_side.value,
        "null_models_rate": max(rate.value for rate in border.null_models),
        "border_p": border.p_value,
        "seconds": seconds,
    }


def jobs() -> list[tuple[str, str, int]]:
    """APIs, attacks and seeds; seed by seed, so that an early look is at all attacks."""
    cases = [(api, attack) for api in APIS for attack in MET_BY[api]]
    return [(*case, seed) for seed in SEEDS for case in cases]


def settings() -> dict:
    """What was studied."""
    return {
        "attacks": {api: list(attacks) for api, attacks in MET_BY.items()},
        "seeds": list(SEEDS),
        "border_rate": BORDER_RATE,
        "ranked_by_answers": RANKED,
        "alpha": ALPHA,
    }


def summary(rows: list[dict]) -> list[dict]:
    """By API and attack: means over seeds, largest p-values, how many surrogates are convicted by what."""
    means = (
        "api_accuracy",
        "wfpr",
        "second",
        "queries",
        "rank",
        "border_rate",
        "this_side_rate",
        "null_models_rate",
        "seconds",
    )
    lines = by_group(rows, ("api", "attack"), *means)
    for line in lines:
        group = [row for row in rows if (row["api"], row["attack"]) == (line["api"], line["attack"])]
        for test in TESTS:
            line[f"largest_{test}_p"] = max(row[f"{test}_p"] for row in group)
            line[f"convicted_by_{test}"] = sum(row[f"{test}_p"] < ALPHA for row in group)
        # Who makes several tests divides the level among them.
        line["convicted_by_mark_or_second"] = sum(
            min(row["mark_p"], row["second_p"]) < ALPHA / 2 for row in group
        )
    return lines


if __name__ == "__main__":
    run("adaptive_study", jobs(), run_one, summary, settings())
