"""How often a key convicts a clean suspect that is unlike the judge's clean models: larger, longer trained, distilled.

`make study STUDY=unlike_suspects_study` writes results/unlike_suspects_study.json. The rank among keys on one suspect
needs nothing but a drawn key. The rank among keys on the suspect and on clean models also needs that nobody could say
beforehand which of them is the suspect. `level_study` takes its suspects from among the clean models, so it can't tell
what happens where that is false; here it is false on purpose, in one respect at a time.
"""

from collections.abc import Callable

import torch
from torch import nn

import mea_lib as mea
from benchmarks.level_study import (
    ALPHA,
    IMAGES,
    PANEL,
    SAMPLES,
    SMALL,
    KnownSuspect,
    admissible,
    all_keys,
    clean_model,
    convicts,
    forest_shares,
)
from benchmarks.study import SEEDS, run
from mea_lib.extraction import Distillation
from mea_lib.proof.key_rank import canonical_pair, rank_key

AXES = ("suspect", "seed")
SCHEME = "crop-paste"
LEVELS = (0.05, ALPHA)
FURTHER = 10  # times the images, or the epochs
FIRST_SUSPECT = 1_000  # its number among the clean models; those of the panels are smaller


def run_one(data: mea.Data, scale: mea.Scale, kind: str, seed: int) -> dict:
    """All keys on one clean suspect, by the rank on it alone and among clean models that it is unlike."""
    model = SUSPECTS[kind](data, scale, seed)
    suspect = KnownSuspect(model, data.test)
    panel = [
        KnownSuspect(clean_model(data, scale, PANEL * seed + place), data.test) for place in range(PANEL)
    ]
    row = {
        "suspect": kind,
        "seed": seed,
        "accuracy": suspect.accuracy,
        "panel_accuracy": [one.accuracy for one in panel],
    }
    for name, clean in (("alone", []), ("with_clean", panel)):
        row[name] = _over_keys(suspect, data.test, clean)
    return row | {"seconds": suspect.seconds}


def _over_keys(suspect: KnownSuspect, test: mea.ImageSet, clean: list[KnownSuspect]) -> dict:
    """Of the keys that could be committed to: how many reach each level by their rank, and how many convict."""
    forest = forest_shares(test, SCHEME)
    allowed = [key for key in all_keys(SCHEME) if admissible(forest, clean, SCHEME, key)]
    families = [model.family[SCHEME] for model in clean]
    p_values = [
        rank_key(suspect.family[SCHEME], forest, families, canonical_pair(key[:2], SCHEME), key[2]).p_value
        for key in allowed
    ]
    return {
        "keys": len(allowed),
        **{f"p at most {level:g}": sum(p <= level for p in p_values) for level in LEVELS},
        "convicted": sum(convicts(suspect, forest, clean, SCHEME, key) for key in allowed),
    }


def _like_the_panel(data: mea.Data, scale: mea.Scale, seed: int) -> nn.Module:
    return clean_model(data, scale, FIRST_SUSPECT + seed)


def _more_images(data: mea.Data, scale: mea.Scale, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(FIRST_SUSPECT + seed)
    chosen = torch.randperm(len(data.owner), generator=generator)[: FURTHER * IMAGES]
    return mea.train_clean(data.owner.subset(chosen), scale, seed=FIRST_SUSPECT + seed)


def _trained_longer(data: mea.Data, scale: mea.Scale, seed: int) -> nn.Module:
    longer = scale.but(owner=scale.owner.but(epochs=FURTHER * scale.owner.epochs))
    return clean_model(data, longer, FIRST_SUSPECT + seed)


def _another_network(data: mea.Data, scale: mea.Scale, seed: int) -> nn.Module:
    generator = torch.Generator().manual_seed(FIRST_SUSPECT + seed)
    chosen = torch.randperm(len(data.owner), generator=generator)[:IMAGES]
    return mea.train_clean(
        data.owner.subset(chosen), scale.but(network="vgg_like"), seed=FIRST_SUSPECT + seed
    )


def _full_size(data: mea.Data, scale: mea.Scale, seed: int) -> nn.Module:
    """The clean model of the chapters: all of the owner's images, the scale's own network and training."""
    return mea.train_clean(data.owner, mea.preset(scale.name), seed=seed)


def _distilled(answer: str) -> Callable[[mea.Data, mea.Scale, int], nn.Module]:
    """A surrogate of a clean model: a suspect that was extracted, but not from the owner."""

    def made(data: mea.Data, scale: mea.Scale, seed: int) -> nn.Module:
        oracle = mea.Oracle(_full_size(data, scale, seed), answer=answer)
        attack = Distillation(temperature=1.0 if answer == "hard" else 4.0)
        return attack.extract(oracle, data.queries, mea.preset(scale.name), seed=seed)

    return made


SUSPECTS: dict[str, Callable[[mea.Data, mea.Scale, int], nn.Module]] = {
    "like the panel": _like_the_panel,
    "ten times the images": _more_images,
    "ten times the epochs": _trained_longer,
    "another network": _another_network,
    "full size": _full_size,
    "distilled from a clean model": _distilled("soft"),
    "distilled from its labels": _distilled("hard"),
}


def jobs() -> list[tuple[str, int]]:
    """Every kind of suspect, seed by seed."""
    return [(kind, seed) for seed in SEEDS for kind in SUSPECTS]


def settings() -> dict:
    """What was studied."""
    return {
        "suspects": list(SUSPECTS),
        "seeds": list(SEEDS),
        "scheme": SCHEME,
        "panel": PANEL,
        "images": IMAGES,
        "further": FURTHER,
        "samples": SAMPLES,
        "small": SMALL,
        "alpha": ALPHA,
    }


def summary(rows: list[dict]) -> list[dict]:
    """For each kind of suspect and way of ranking: seeds, keys, and the shares of keys that reach a level or convict."""
    lines = []
    for kind in dict.fromkeys(row["suspect"] for row in rows):
        own = [row for row in rows if row["suspect"] == kind]
        for name in ("alone", "with_clean"):
            keys = sum(row[name]["keys"] for row in own)
            counted = [key for key in own[0][name] if key != "keys"]
            lines.append(
                {"suspect": kind, "rank": name, "seeds": len(own), "keys": keys}
                | {f"share {key}": sum(row[name][key] for row in own) / max(1, keys) for key in counted}
                | {
                    f"largest share {key}": max(row[name][key] / max(1, row[name]["keys"]) for row in own)
                    for key in counted
                }
            )
    return lines


if __name__ == "__main__":
    run("unlike_suspects_study", jobs(), run_one, summary, settings(), axes=AXES, changes=SMALL)
