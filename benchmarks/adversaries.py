"""The rows of the study of adaptive attacks: what an adversary who knows the method sells, and who proves what of it.

An adversary meets an API, comes to a surrogate, and serves it; the owner tests what is served.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

import mea_lib as mea
from benchmarks import owners
from mea_lib import proof
from mea_lib.defences import MarkedAnswers, MarkedLabels
from mea_lib.detection import KeySearch, RunnerUps, SuspectedKey
from mea_lib.extraction import CleanAnswers, Distillation, Extraction, MixedDistillation
from mea_lib.extraction.guided import GuidedExtraction
from mea_lib.models import ImageClassifier
from mea_lib.removal import MixUpLabels

BORDER_RATE = 0.1
RANKED = 10_000  # of the adversary's images, by whose answers the key is ranked
RELABEL_EPOCHS = 4
ALPHA = 0.01
LABELS = CleanAnswers(top_k=1)


@dataclass(frozen=True)
class API:
    """What the adversary buys answers from.

    Attributes:
        model: behind the API, with what the owner does to its answers.
        answer: "soft" or "hard".
    """

    model: nn.Module
    answer: str = "soft"

    def oracle(self) -> mea.Oracle:
        """To query it, with a count of its own."""
        return mea.Oracle(self.model, answer=self.answer)


class Loot(NamedTuple):
    """What an adversary comes to.

    Attributes:
        model: that is served.
        seconds: all trainings took.
        suspected: the key that a search named, where there was one.
        answer: what is sold of its answers, "soft" or "hard".
    """

    model: nn.Module
    seconds: float
    suspected: SuspectedKey | None = None
    answer: str = "soft"


class LeastConfident(nn.Module):
    """Least-confident test-time augmentation: of an image and its mirror image the less certain answer is given.

    A watermark's arrangement is not its mirror image, so one of the two answers may be what the image shows.
    """

    def __init__(self, model: ImageClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) uint8 images → (N, K) logits."""
        both = torch.stack([self.model(one).float().log_softmax(1) for one in (images, images.flip(3))])
        less_certain = both.amax(2).argmin(0)  # (N,)
        return both[less_certain, torch.arange(len(images), device=images.device)]


def _ordinary(api: API, answers: Tensor, data: mea.Data, scale: mea.Scale, seed: int) -> ImageClassifier:
    """The ordinary surrogate of these answers; hard labels are learnt at temperature 1."""
    method = owners.EXTRACTION if api.answer == "soft" else LABELS
    return method.train_surrogate(data.queries, answers, scale, seed=seed)


def _extract(
    api: API, oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int, method: Extraction
) -> Loot:
    surrogate = method.extract(oracle, data.queries, scale, seed=seed)
    return Loot(surrogate, surrogate.card["seconds"])


def _guided(api: API, oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> Loot:
    """With labels by hand for the first thousand of the queries."""
    queries = data.adversary.subset(len(data.queries))
    surrogate = GuidedExtraction().extract(oracle, queries, scale, seed=seed)
    return Loot(surrogate, surrogate.card["seconds"])


def _forget(api: API, oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int, own: bool) -> Loot:
    """The runner-up that a search names is taken out of the answers, and a surrogate learns these."""
    answers = oracle(data.queries)
    seconds, suspected = _search(api, oracle, answers, data, scale, seed, own)
    names = (suspected.first, suspected.second, suspected.target)
    forgetful = CleanAnswers(suspected=tuple(map(data.owner.class_index, names)))
    surrogate = forgetful.train_surrogate(data.queries, forgetful.clean(answers), scale, seed=seed)
    return Loot(surrogate, seconds + surrogate.card["seconds"], suspected)


def _relabel_pair(
    api: API, oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int, own: bool
) -> Loot:
    """An ordinary surrogate after MixUp-labelled fine-tuning on the pair that a search names."""
    answers = oracle(data.queries)
    _, suspected = _search(api, oracle, answers, data, scale, seed, own)
    pair = (data.owner.class_index(suspected.first), data.owner.class_index(suspected.second))
    return _relabelled(api, answers, data, scale, seed, (pair,))._replace(suspected=suspected)


def _relabel_all(
    api: API, oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int, sold: str = "soft"
) -> Loot:
    """An ordinary surrogate after MixUp-labelled fine-tuning on all pairs, which needs no search."""
    return _relabelled(api, oracle(data.queries), data, scale, seed, None)._replace(answer=sold)


def _least_confident(api: API, oracle: mea.Oracle, data: mea.Data, scale: mea.Scale, seed: int) -> Loot:
    """An ordinary surrogate, served with least-confident test-time augmentation."""
    surrogate = _ordinary(api, oracle(data.queries), data, scale, seed)
    return Loot(LeastConfident(surrogate), surrogate.card["seconds"])


def _relabelled(
    api: API,
    answers: Tensor,
    data: mea.Data,
    scale: mea.Scale,
    seed: int,
    pairs: tuple[tuple[int, int], ...] | None,
) -> Loot:
    surrogate = _ordinary(api, answers, data, scale, seed)
    labelled = mea.ImageSet(data.queries, answers.argmax(1), data.owner.classes, "queries")
    freed = MixUpLabels(pairs=pairs, epochs=RELABEL_EPOCHS).remove(surrogate, labelled, scale, seed=seed)
    return Loot(freed, surrogate.card["seconds"] + freed.card["seconds"])


def _search(
    api: API,
    oracle: mea.Oracle,
    answers: Tensor,
    data: mea.Data,
    scale: mea.Scale,
    seed: int,
    own: bool,
) -> tuple[float, SuspectedKey]:
    """The key that a search names, and the seconds of what it needs.

    The classes to mix follow from the answers that were bought, and where these are hard, from the surrogate's. Mixes
    are sent to the API, where an owner can see them, or to the adversary's own surrogate.
    """
    asked, seconds = oracle, 0.0
    if own:
        surrogate = _ordinary(api, answers, data, scale, seed)
        asked, seconds = mea.Oracle(surrogate), surrogate.card["seconds"]
    known = asked(data.queries) if own and api.answer == "hard" else answers
    ranking = KeySearch().detect(asked, data.queries, data.owner.classes, answers=known, seed=seed)
    return seconds, ranking.best


def _plain(model: ImageClassifier, key: mea.WatermarkKey, images: mea.ImageSet) -> nn.Module:
    return model


def moved_border(model: ImageClassifier, key: mea.WatermarkKey, images: mea.ImageSet) -> MarkedLabels:
    """The defence in first places: clean images beyond the border are answered with the target."""
    return MarkedLabels(model, key, images, BORDER_RATE)


# What stands before the model, and which answers are sold. The model is the victim unless the name says clean.
APIS: dict[str, tuple[Callable[[ImageClassifier, mea.WatermarkKey, mea.ImageSet], nn.Module], str]] = {
    "plain": (_plain, "soft"),
    "moved border": (moved_border, "soft"),
    "marked answers": (MarkedAnswers, "soft"),
    "marked labels": (moved_border, "hard"),
    "clean model": (_plain, "soft"),
}
ATTACKS: dict[str, Callable[..., Loot]] = {
    "distillation, T = 4": partial(_extract, method=owners.EXTRACTION),
    "distillation, T = 1": partial(_extract, method=Distillation(temperature=1.0)),
    "hard labels": partial(_extract, method=LABELS),
    "largest two": partial(_extract, method=CleanAnswers(top_k=2)),
    "sharpened": partial(_extract, method=CleanAnswers(answer_temperature=0.5)),
    "search, runner-up forgotten": partial(_forget, own=False),
    "search, pair relabelled": partial(_relabel_pair, own=False),
    "own search, runner-up forgotten": partial(_forget, own=True),
    "own search, pair relabelled": partial(_relabel_pair, own=True),
    "all pairs relabelled": _relabel_all,
    "all pairs relabelled, hard labels sold": partial(_relabel_all, sold="hard"),
    "least-confident answers": _least_confident,
    "guided extraction": _guided,
    "CutMix": partial(_extract, method=MixedDistillation(temperature=4.0, kind="cutmix")),
    "MixUp": partial(_extract, method=MixedDistillation(temperature=4.0, kind="mixup")),
}


@lru_cache(maxsize=1)
def behind(data: mea.Data, scale: mea.Scale, method: str, key: str, seed: int) -> dict[str, ImageClassifier]:
    """The owner's two models, kept for the next job, which is most often of the same owner."""
    return {
        "victim": owners.victim(data, scale, method, key, seed),
        "clean": owners.clean_model(data, scale, seed),
    }


def run_one(
    data: mea.Data, scale: mea.Scale, method: str, key: str, seed: int, api: str, attack: str
) -> dict:
    """What one adversary makes of one API, of the victim or of the clean model of this seed.

    Rates and p-values are of what the adversary serves. `second` is None where it does not know the task.
    """
    secret, models = owners.KEYS[key], behind(data, scale, method, key, seed)
    wrap, answer = APIS[api]
    sold_model = models["clean" if api == "clean model" else "victim"]
    sold = API(wrap(sold_model, secret, data.owner), answer)
    oracle = sold.oracle()
    loot = ATTACKS[attack](sold, oracle, data, scale, seed)
    suspect = mea.Oracle(loot.model, answer=loot.answer)
    null_models = owners.null_models(data, scale, seed)
    owner = moved_border(models["victim"], secret, data.owner)
    border = proof.verify_border(suspect, owner, secret, data.test, null_models, alpha=ALPHA)
    held = proof.verify_runner_up(suspect, secret, data.test, null_models, alpha=ALPHA)
    wsr = proof.watermark_success_rate(suspect, secret, data.test, scale.verification_samples)
    wfpr = proof.wrong_firing_rates(suspect, secret, data.test, scale.verification_samples)
    return {
        "method": method,
        "key": key,
        "seed": seed,
        "api": api,
        "attack": attack,
        "queries": oracle.queries,
        "rank": _rank(sold, secret, data),
        "named": None if loot.suspected is None else loot.suspected._asdict(),
        "victim_accuracy": proof.accuracy(mea.Oracle(sold_model), data.test),
        "api_accuracy": proof.accuracy(sold.oracle(), data.test),
        "accuracy": proof.accuracy(suspect, data.test),
        "wsr": wsr.value,
        "mark_p": wsr.p_value(proof.PAPER_THRESHOLD),
        "wfpr": float(np.mean([rate.value for rate in wfpr.values()])),
        "second": min(rate.value for rate in held.runner_up) if held.is_decided else None,
        "second_p": held.p_value,
        "border_images": border.beyond.trials,
        "border_rate": border.beyond.value if border.is_decided else None,
        "this_side_rate": border.this_side.value if border.is_decided else None,
        "null_models_rate": max(rate.value for rate in border.null_models) if border.is_decided else None,
        "border_p": border.p_value,
        "seconds": loot.seconds,
    }


def _rank(sold: API, key: mea.WatermarkKey, data: mea.Data) -> int | None:
    """The key's place among all by the answers to ordinary images; None where hard labels are sold."""
    if sold.answer == "hard":
        return None
    ranking = RunnerUps().detect(sold.oracle(), data.queries[:RANKED], data.owner.classes)
    return ranking.rank(key.sources, key.target)
