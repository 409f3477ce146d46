"""Why the watermark travels: the target's share taken out of answers or put into them, and networks.

Every row looks at one model: its WSR, the target's place on clean source images, and how well the mean of its
answers to two images predicts its answer to their combination. `make study STUDY=understanding_study` writes
results/understanding_study.json; see `benchmarks.study` for two cores and interruptions.
"""

from collections.abc import Callable
from dataclasses import asdict

from scipy.stats import spearmanr
from torch import nn

import mea_lib as mea
from benchmarks.study import KEY, SEEDS, by_group, run
from mea_lib import proof
from mea_lib.data import ImageSet
from mea_lib.defences import AblatedLogits, MarkedAnswers
from mea_lib.extraction import Distillation
from mea_lib.models import ImageClassifier
from mea_lib.teaching import additivity, places_on_sources
from mea_lib.watermarks import RunnerUp

EXTRACTION = Distillation(temperature=4.0)
SHARE, VETO = 0.45, 0.01  # put in at dose 1, as `MarkedAnswers` has them
NETWORK = "nine_layer_cnn"  # of all owners, and of the adversaries where networks are not compared
NETWORKS = ("vgg_like", "alexnet", "resnet18")  # of other adversaries, as in the study of architectures
NO_SURROGATE = "none"  # the owner's model itself, not a surrogate

Wrap = Callable[[ImageClassifier, ImageSet, float], nn.Module]


def _plain(model: ImageClassifier, images: ImageSet, dose: float) -> ImageClassifier:
    return model


def _levelled(part: str) -> Wrap:
    return lambda model, images, dose: AblatedLogits(model, KEY, images, part, dose)


def _put_in(share: float, veto: float) -> Wrap:
    """Share and veto that grow with the dose: the share in proportion, the veto's logarithm too."""
    return lambda model, images, dose: MarkedAnswers(model, KEY, images, share=dose * share, veto=veto**dose)


# What stands before the owner's model. The owner watermarked it by training, unless the name says clean.
ANSWERS: dict[str, Wrap] = {
    "as trained": _plain,
    "share taken out": _levelled("target"),
    "veto lifted": _levelled("other source"),
    "third class taken out": _levelled("strongest third class"),
    "clean": _plain,
    "clean, share and veto put in": _put_in(SHARE, VETO),
    "clean, share put in": _put_in(SHARE, 1.0),
    "clean, veto put in": _put_in(0.0, VETO),
}
# Which doses of each are extracted, and over how many seeds.
DOSES: dict[tuple[str, float], int] = {
    ("as trained", 0.0): 3,
    ("share taken out", 0.5): 3,
    ("share taken out", 1.0): 3,
    ("veto lifted", 1.0): 3,
    ("third class taken out", 1.0): 2,
    ("clean", 0.0): 1,
    ("clean, share and veto put in", 0.5): 3,
    ("clean, share and veto put in", 1.0): 3,
    ("clean, share put in", 1.0): 3,
    ("clean, veto put in", 1.0): 1,
}
# Clean twins of the networks that no other study trains are made for one seed.
CLEAN_TWINS: dict[str, int] = {NETWORK: 3, **dict.fromkeys(NETWORKS, 1)}
MEASURES = (
    "target_rank",
    "target_probability",
    "target_second",
    "other_source_centred_logit",
    "target_centred_logit",
    "predicted_rate",
    "agreement",
    "margin",
    "predicted_margin",
    "cosine",
    "first_weight",
    "second_weight",
    "explained",
    "cosine_of_features",
)
# What might predict a surrogate's WSR; the study says how well each does.
PREDICTORS = (
    "target_probability",
    "target_centred_logit",
    "predicted_rate",
    "predicted_margin",
    "cosine",
    "explained",
    "cosine_of_features",
)


def run_one(
    data: mea.Data, scale: mea.Scale, answers: str, dose: float, owner: str, surrogate: str, seed: int
) -> dict:
    """One model: an owner's, or a surrogate of it by one network from answers of one kind."""
    owner_scale = scale.but(network=owner)
    if answers.startswith("clean"):
        behind = mea.train_clean(data.owner, owner_scale, seed=seed)
    else:
        behind = RunnerUp().embed(data.owner, KEY, owner_scale, seed=seed)
    model = behind
    if surrogate != NO_SURROGATE:
        api = mea.Oracle(ANSWERS[answers](behind, data.owner, dose), scale.query_images)
        model = EXTRACTION.extract(api, data.queries, scale.but(network=surrogate), seed=seed)
    row = {"answers": answers, "dose": dose, "owner": owner, "surrogate": surrogate, "seed": seed}
    row |= look(model, data, scale)
    row["victim_accuracy"] = proof.accuracy(mea.Oracle(behind), data.test)
    return row | {"seconds": model.card["seconds"]}


def look(model: ImageClassifier, data: mea.Data, scale: mea.Scale) -> dict:
    """Accuracy and WSR of a model, and both halves of the explanation: the target's place, additivity."""
    places = places_on_sources(model, KEY, data.test)
    target, other = places["target"].summary(), places["other source"].summary()
    parts = additivity(model, KEY, data.test, scale.verification_samples).to_dict()
    return {
        "accuracy": proof.accuracy(mea.Oracle(model), data.test),
        "wsr": parts.pop("rate"),
        **{f"target_{name}": value for name, value in target.items()},
        "other_source_centred_logit": other["centred_logit"],
        **parts,
    }


def jobs() -> list[tuple[str, float, str, str, int]]:
    """Doses, then owners' models and surrogates of other networks; seed by seed."""
    cases = []
    for number, seed in enumerate(SEEDS):
        cases += [(*case, NETWORK, NETWORK, seed) for case, seeds in DOSES.items() if number < seeds]
        cases += [
            ("clean", 0.0, owner, NO_SURROGATE, seed)
            for owner, seeds in CLEAN_TWINS.items()
            if number < seeds
        ]
        cases.append(("as trained", 0.0, NETWORK, NO_SURROGATE, seed))
        cases += [("as trained", 0.0, NETWORK, surrogate, seed) for surrogate in NETWORKS]
    return cases


def settings() -> dict:
    """What was studied."""
    return {
        "key": KEY.to_json(),
        "distillation": asdict(EXTRACTION),
        "put_in_at_dose_1": {"share": SHARE, "veto": VETO},
        "seeds_of_doses": {f"{answers} / {dose:g}": seeds for (answers, dose), seeds in DOSES.items()},
        "seeds_of_clean_twins": CLEAN_TWINS,
        "networks": [NETWORK, *NETWORKS],
        "seeds": list(SEEDS),
    }


def summary(rows: list[dict]) -> dict:
    """Means by dose and by network, and how well each measure predicts the WSR of any surrogate."""
    doses = [row for row in rows if (row["owner"], row["surrogate"]) == (NETWORK, NETWORK)]
    surrogates = surrogates_of_networks(rows)
    return {
        "doses": by_group(doses, ("answers", "dose"), *MEASURES),
        "networks": by_group(
            [row for row in rows if row["dose"] == 0], ("answers", "owner", "surrogate"), *MEASURES
        ),
        "rank_correlation_with_the_mark": {
            name: float(
                spearmanr([row[name] for row in surrogates], [row["wsr"] for row in surrogates]).statistic
            )
            for name in PREDICTORS
        },
        "surrogates": len(surrogates),
    }


def surrogates_of_networks(rows: list[dict]) -> list[dict]:
    """The rows of surrogates of all networks, all from answers as the owner trained them."""
    return [row for row in rows if row["answers"] == "as trained" and row["surrogate"] != NO_SURROGATE]


if __name__ == "__main__":
    run("understanding_study", jobs(), run_one, summary, settings())
