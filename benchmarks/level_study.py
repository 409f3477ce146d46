"""How often a null model is convicted, how often a watermarked one, and what broken suspects are told.

`make study STUDY=level_study` writes results/level_study.json; see `benchmarks.study` for two cores and
interruptions. A model is asked mixes of all pairs of classes once; the verdict on every key that an owner might have
committed to then follows from these answers.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from itertools import permutations

import numpy as np
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

import mea_lib as mea
from benchmarks.study import run
from mea_lib import proof
from mea_lib.blackbox.named_class import most_probable
from mea_lib.extraction import Distillation
from mea_lib.proof.dependence import effective_rate
from mea_lib.proof.evidence import Evidence
from mea_lib.proof.key_rank import MIXES, PairShares, canonical_pair, key_pairs, pair_shares, rank_key
from mea_lib.proof.pixel_forest import pixel_forest
from mea_lib.proof.samples import class_images, pair_samples
from mea_lib.proof.task import needed_accuracy, probe_images
from mea_lib.watermarks import MEADefender, RunnerUp

MODELS, PANEL, SEARCHED, MARKED = 200, 4, 50, 48
IMAGES = 2_000  # that each clean model is trained on, drawn anew for each
SCHEMES = ("crop-paste", "pixel-merge")
SAMPLES, ALPHA = 200, 0.01
NETWORKS = ("nine_layer_cnn", "alexnet")
SMALL = {"epochs": 2, "extract_epochs": 2, "width": 8, "batch_size": 64, "watermark_batch": 16}
MARKED_IMAGES = 6_000


def run_one(data: mea.Data, scale: mea.Scale, kind: str, *job: object) -> dict:
    """One clean model under all keys, one watermarked model and its surrogates, or one broken suspect."""
    return {"clean": clean_row, "marked": marked_row, "broken": broken_row}[kind](data, scale, *job)


def clean_row(data: mea.Data, scale: mea.Scale, number: int) -> dict:
    """How many of all keys convict one clean model, and how many of those that its owner searched for on another."""
    suspect = _known(data, scale, number)
    panel = [_known(data, scale, (number + step) % MODELS) for step in range(1, PANEL + 1)]
    searched_on = _known(data, scale, (number + PANEL + 1) % MODELS)
    row = {"kind": "clean", "number": number, "accuracy": suspect.accuracy, "seconds": suspect.seconds}
    for scheme in SCHEMES:
        forest = forest_shares(data.test, scheme)
        for name, clean in (("alone", []), ("with_clean", panel)):
            verdicts = {key: convicts(suspect, forest, clean, scheme, key) for key in all_keys(scheme)}
            ranked = sorted(verdicts, key=lambda key: -searched_on.rate(scheme, key))
            allowed = [key for key in ranked if admissible(forest, clean, scheme, key)]
            row[f"{scheme}, {name}"] = {
                "keys": len(verdicts),
                "admissible": len(allowed),
                "convicted": sum(verdicts.values()),
                "above_threshold": sum(suspect.rate(scheme, key) > proof.PAPER_THRESHOLD for key in verdicts),
                "best_searched_convicts": bool(verdicts[allowed[0]]),
                "searched": SEARCHED,
                "searched_convicted": sum(verdicts[key] for key in allowed[:SEARCHED]),
            }
    return row


class KnownSuspect:
    """What one model says to clean images, and to mixes of all pairs of classes in each scheme."""

    def __init__(self, model: nn.Module, test: mea.ImageSet) -> None:
        oracle, probe = mea.Oracle(model), probe_images(test, 5)
        right = most_probable(oracle(probe.images)) == probe.labels
        self.accuracy = float(right.float().mean())
        classes = len(test.classes)
        self.recall = [float(right[probe.labels == label].float().mean()) for label in range(classes)]
        self.seconds = float(model.card["seconds"])
        self.control = [
            _counts(most_probable(oracle(class_images(test, label)[: SAMPLES // 2])), classes)
            for label in range(classes)
        ]
        self.family: dict[str, PairShares] = {}
        self.hits: dict[str, dict[tuple[int, int], tuple[Tensor, Tensor, Tensor]]] = {}
        for scheme in SCHEMES:
            pairs = key_pairs((0, 1), scheme, classes, 0)
            mixes = _mixes(test, scheme, 0, MIXES)
            self.family[scheme] = pair_shares(oracle, pairs, [part.images for part in mixes], classes)
            pair_mixes = _mixes(test, scheme, 1, SAMPLES)
            called = most_probable(oracle(torch.cat([part.images for part in pair_mixes]))).split(
                [*map(len, pair_mixes)]
            )
            self.hits[scheme] = {
                pair: (labels, part.first, part.second)
                for pair, labels, part in zip(pairs, called, pair_mixes, strict=True)
            }

    def rate(self, scheme: str, key: tuple[int, int, int]) -> float:
        """The WSR of a key."""
        return float((self.hits[scheme][key[:2]][0] == key[2]).float().mean())


def convicts(
    suspect: KnownSuspect,
    forest: PairShares,
    clean: list[KnownSuspect],
    scheme: str,
    key: tuple[int, int, int],
) -> bool:
    """The verdict of `verify_ownership` on these answers."""
    classes = len(suspect.recall)
    knows = suspect.accuracy >= needed_accuracy(classes)
    knows = knows and all(suspect.recall[label] > 1 / classes for label in key)
    if not knows or suspect.rate(scheme, key) <= proof.PAPER_THRESHOLD:
        return False
    if not admissible(forest, clean, scheme, key):
        return False
    called, first, second = suspect.hits[scheme][key[:2]]
    hits = called == key[2]
    wsr = proof.Rate(int(hits.sum()), len(hits))
    control = sum(suspect.control[label][key[2]] for label in key[:2])
    families = [model.family[scheme] for model in clean]
    return Evidence(
        key=mea.WatermarkKey(key[:2], key[2], scheme),
        threshold=proof.PAPER_THRESHOLD,
        alpha=ALPHA,
        wsr=wsr,
        effective=effective_rate(hits, first, second),
        rank=rank_key(suspect.family[scheme], forest, families, canonical_pair(key[:2], scheme), key[2]),
        control=proof.Rate(control, 2 * (SAMPLES // 2)),
    ).is_stolen


def admissible(forest: PairShares, clean: list[KnownSuspect], scheme: str, key: tuple[int, int, int]) -> bool:
    """Whether no null model obeys the key, as a commitment would find."""
    bound = proof.key_rank.NULL_BOUND
    return forest.of(key[:2], key[2]) <= bound and all(model.rate(scheme, key) <= bound for model in clean)


def marked_row(data: mea.Data, scale: mea.Scale, method: str, number: int) -> dict:
    """A watermarked model and its surrogates, verified with and without clean models."""
    generator = torch.Generator().manual_seed(10_000 + number)
    first, second, target = torch.randperm(10, generator=generator)[:3].tolist()
    key = mea.WatermarkKey((first, second), target, seed=number).named(data.test)
    chosen = torch.randperm(len(data.owner), generator=generator)[:MARKED_IMAGES]
    watermark = {"runner-up": RunnerUp(), "mea-defender": MEADefender()}[method]
    victim = watermark.embed(data.owner.subset(chosen), key, scale, seed=number)
    queries = data.queries[torch.randperm(len(data.queries), generator=generator)[:MARKED_IMAGES]]
    surrogate = Distillation().extract(mea.Oracle(victim), queries, scale, seed=number)
    panel = [mea.Oracle(clean_model(data, scale, place)) for place in range(PANEL)]
    row = {"kind": "marked", "method": method, "number": number, "key": key.to_json()}
    row["seconds"] = victim.card["seconds"] + surrogate.card["seconds"]
    checks = {
        "alone": proof.check_key(key, data.test),
        "with_clean": proof.check_key(key, data.test, panel),
    }
    for who, model in (("victim", victim), ("surrogate", surrogate)):
        for name, check in checks.items():
            report = mea.verify_ownership(mea.Oracle(model), key, data.test, clean=check)
            row[f"{who}, {name}"] = {
                "verdict": report.verdict,
                "convicted": report.is_stolen,
                "wsr": report.wsr.value if report.wsr.trials else None,
                "key_p_value": report.key_p_value,
            }
    return row


def broken_row(data: mea.Data, scale: mea.Scale, kind: str, over: str) -> dict:
    """A suspect that is broken, mute or lies, made of a watermarked model, in memory or over HTTP."""
    key = mea.WatermarkKey(("T-shirt/top", "Trouser"), "Pullover", seed=7)
    victim = RunnerUp().embed(data.owner.subset(MARKED_IMAGES), key, scale)
    made, expected = BROKEN[kind](victim)
    answers = torch.no_grad()(lambda images: made(images))
    if over == "http":
        from mea_lib.serving import RemoteOracle
        from mea_lib.serving.service import BackgroundServer, create_app

        shape = tuple(data.test.images.shape[1:])
        place = BackgroundServer(create_app(answers, shape))
    else:
        place = nullcontext()
    with place as server:
        suspect = RemoteOracle(server.url, on_failure="skip") if server else answers
        report = mea.verify_ownership(suspect, key, data.test)
    return {
        "kind": "broken",
        "suspect": kind,
        "over": over,
        "verdict": report.verdict,
        "convicted": report.is_stolen,
        "fits": expected in report.verdict,
        "queries": report.queries,
        "seconds": 0.0,
    }


def _rows_without(answers: Tensor, silent: Tensor) -> Tensor:
    return answers.masked_fill(silent[:, None], torch.nan)


def _constant(label: int) -> Callable[[Tensor], Tensor]:
    return lambda images: 9.0 * nn.functional.one_hot(torch.full((len(images),), label), 10)


def _random(images: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(int(images.long().sum()) % 2**31)
    return torch.randn(len(images), 10, generator=generator)


# Each made of the watermarked model: what it answers, and words that its verdict must have.
BROKEN: dict[str, Callable[[nn.Module], tuple[Callable[[Tensor], Tensor], str]]] = {
    "sound": lambda model: (model, "carries the watermark"),
    "classes moved by one": lambda model: (lambda x: model(x).roll(1, 1), "numbered from 1"),
    "classes moved down": lambda model: (lambda x: model(x).roll(-1, 1), "moved down by one"),
    "labels from 1": lambda model: (lambda x: nn.functional.pad(model(x), (1, 0), value=-50.0), "11 numbers"),
    "classes reversed": lambda model: (lambda x: model(x).flip(1), "another order"),
    "two classes lost": lambda model: (lambda x: model(x)[:, :8], "8 numbers"),
    "inverted input": lambda model: (lambda x: model(255 - x), "black and white"),
    "input from 0 to 1": lambda model: (lambda x: model((x / 255).to(torch.uint8)), "no verdict"),
    "input to 16 levels": lambda model: (lambda x: model(x // 16), "no verdict"),
    "rows and columns": lambda model: (lambda x: model(x.transpose(2, 3).contiguous()), "rows and columns"),
    "always the target": lambda model: (_constant(2), "nearly everything Pullover"),
    "always another class": lambda model: (_constant(5), "nearly everything Sandal"),
    "equal numbers": lambda model: (lambda x: torch.zeros(len(x), 10), "no class at all"),
    "drawn at random": lambda model: (_random, "likely reasons"),
    "NaN": lambda model: (lambda x: torch.full((len(x), 10), torch.nan), "no verdict"),
    "half the answers missing": lambda model: (
        lambda x: _rows_without(model(x), x.long().sum((1, 2, 3)) % 2 == 0),
        "no verdict",
    ),
    "the task's opposite": lambda model: (lambda x: -model(x), "no verdict"),
}


def all_keys(scheme: str) -> list[tuple[int, int, int]]:
    """Every key of ten classes, sources in order where the scheme tells them apart."""
    return [key for key in permutations(range(10), 3) if canonical_pair(key[:2], scheme) == key[:2]]


@lru_cache(PANEL + 3)
def _known_once(number: int, data_and_scale: "_Same") -> KnownSuspect:
    return KnownSuspect(clean_model(*data_and_scale.pair, number), data_and_scale.pair[0].test)


class _Same:
    """Data and scale, as one thing that a cache takes for equal."""

    def __init__(self, *pair: object) -> None:
        self.pair = pair

    def __hash__(self) -> int:
        return 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.pair[0] is other.pair[0] and self.pair[1] == other.pair[1]


def _known(data: mea.Data, scale: mea.Scale, number: int) -> KnownSuspect:
    return _known_once(number, _Same(data, scale))


def clean_model(data: mea.Data, scale: mea.Scale, number: int) -> nn.Module:
    """A clean model of its own seed, its own images, and one network of two."""
    generator = torch.Generator().manual_seed(number)
    chosen = torch.randperm(len(data.owner), generator=generator)[:IMAGES]
    network_scale = scale.but(network=NETWORKS[number % 10 == 9])
    return mea.train_clean(data.owner.subset(chosen), network_scale, seed=number)


@lru_cache(8)
def _mixes_of(digest: str, scheme: str, seed: int, number: int, images: "_Same") -> list:
    test = images.pair[0]
    return pair_samples(
        test, mea.WatermarkKey((0, 1), 2, scheme, seed), key_pairs((0, 1), scheme, 10, 0), number
    )


def _mixes(test: mea.ImageSet, scheme: str, seed: int, number: int) -> list:
    return _mixes_of(test.digest(), scheme, seed, number, _Same(test, None))


def forest_shares(test: mea.ImageSet, scheme: str) -> PairShares:
    """What a forest on the pixels calls a few mixes of every pair."""
    mixes = [part.images for part in _mixes(test, scheme, 0, MIXES)]
    return pair_shares(pixel_forest(test), key_pairs((0, 1), scheme, 10, 0), mixes, 10)


def _counts(called: Tensor, classes: int) -> list[int]:
    return torch.bincount(called[called >= 0], minlength=classes).tolist()


def jobs() -> list[tuple]:
    """The few watermarked and broken ones first, then the clean models in turn, so that an early look is at all."""
    marked = [("marked", ("runner-up", "mea-defender")[number % 2], number) for number in range(MARKED)]
    broken = [("broken", kind, over) for over in ("memory", "http") for kind in BROKEN]
    return [*marked, *broken, *(("clean", number) for number in range(MODELS))]


def settings() -> dict:
    """What was studied."""
    return {
        "models": MODELS,
        "panel": PANEL,
        "images": IMAGES,
        "small": SMALL,
        "samples": SAMPLES,
        "alpha": ALPHA,
        "schemes": list(SCHEMES),
        "networks": list(NETWORKS),
        "broken": list(BROKEN),
    }


def summary(rows: list[dict]) -> dict:
    """Shares convicted with their intervals, by kind of key; power; and what broken suspects were told."""
    clean = [row for row in rows if row["kind"] == "clean"]
    marked = [row for row in rows if row["kind"] == "marked"]
    broken = [row for row in rows if row["kind"] == "broken"]
    names = [f"{scheme}, {panel}" for scheme in SCHEMES for panel in ("alone", "with_clean")]
    level = {
        name: {
            "random": level_of([(row[name]["convicted"], row[name]["keys"]) for row in clean]),
            "searched": level_of([(row[name]["searched_convicted"], row[name]["searched"]) for row in clean]),
            "best_searched": level_of([(row[name]["best_searched_convicts"], 1) for row in clean]),
            "above_threshold": level_of([(row[name]["above_threshold"], row[name]["keys"]) for row in clean]),
        }
        for name in names
    }
    power = {
        f"{method}, {who}, {name}": power_of(
            [row[f"{who}, {name}"] for row in marked if row["method"] == method]
        )
        for method in ("runner-up", "mea-defender")
        for who in ("victim", "surrogate")
        for name in ("alone", "with_clean")
    }
    return {
        "level": level,
        "power": power,
        "broken": len(broken),
        "broken_convicted": sum(row["convicted"] for row in broken if row["suspect"] != "sound"),
        "broken_with_fitting_reason": sum(row["fits"] for row in broken),
    }


def power_of(rows: list[dict]) -> dict:
    """Of the keys that could be committed to, the share proven; a key that a null model obeys is refused before."""
    committed = [one for one in rows if "a null model obeys this key" not in one["verdict"]]
    no_verdict = sum(one["verdict"].startswith("no verdict") for one in committed)
    counts = level_of([(one["convicted"], 1) for one in committed])
    return counts | {"refused": len(rows) - len(committed), "no_verdict": no_verdict}


def level_of(counts: list[tuple[int, int]]) -> dict:
    """Share convicted, with two 95 % intervals: Clopper–Pearson's over all verdicts, and over models.

    Verdicts on one model are not independent; the second interval resamples whole models.

    Args:
        counts: of each model, how many verdicts convict it, of how many.
    """
    convicted, verdicts = map(sum, zip(*counts, strict=True)) if counts else (0, 0)
    if not verdicts:
        return {"convicted": 0, "verdicts": 0, "models": 0}
    exact = binomtest(int(convicted), int(verdicts)).proportion_ci(method="exact")
    shares = np.array([successes / of for successes, of in counts])
    drawn = np.random.default_rng(0).choice(shares, (2_000, len(shares))).mean(1)
    return {
        "convicted": int(convicted),
        "verdicts": int(verdicts),
        "models": len(counts),
        "share": convicted / verdicts,
        "interval": [float(exact.low), float(exact.high)],
        "interval_over_models": np.quantile(drawn, (0.025, 0.975)).tolist(),
    }


if __name__ == "__main__":
    run("level_study", jobs(), run_one, summary, settings(), changes=SMALL)
