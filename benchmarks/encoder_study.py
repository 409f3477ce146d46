"""Encoders, clean and marked in several ways, their copies by every theft, and what a probe says about each, over seeds.

`make study STUDY=encoder_study` writes results/encoder_study.json; see `benchmarks.study` for two cores and
interruptions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import mea_lib as mea
from benchmarks.study import KEY, SEEDS, by_group, run
from mea_lib import proof
from mea_lib.extraction import cont_steal, feature_distillation, stolen_encoder
from mea_lib.extraction.feature_distillation import FeatureDistillationSettings
from mea_lib.models.encoder import Encoder
from mea_lib.training import FixedBalance, MGDABalance, fit_linear_probe, train_encoder
from mea_lib.watermarks import mea_defender_ssl, meeting_point
from mea_lib.watermarks.class_plan import PlanSettings
from mea_lib.watermarks.meeting_point import MeetingPointSettings

LABELLED = 10_000  # images of every probe
Make = Callable[[mea.Data, mea.Scale, mea.WatermarkKey, int], Encoder]


def _clean(data: mea.Data, scale: mea.Scale, key: mea.WatermarkKey, seed: int) -> Encoder:
    return train_encoder(data.train, scale, seed=seed)


def _marked(method, **options) -> Make:
    """Embedded by going on from the clean encoder of the same seed."""

    def make(data: mea.Data, scale: mea.Scale, key: mea.WatermarkKey, seed: int) -> Encoder:
        clean = _clean(data, scale, key, seed)
        return method.embed(data.train, key, scale, pretrained=clean, seed=seed, **options)

    return make


# The weights with which a first trial made the paper's verification loss outweigh the others.
HEAVY_VERIFICATION = FixedBalance({"combination": 0.0, "verification": 10.0, "evasion": 3.0})
ENCODERS: dict[str, Make] = {
    "clean": _clean,
    "Eq. 5–8, weights 1": _marked(mea_defender_ssl),
    "Eq. 5–9, MGDA": _marked(mea_defender_ssl, balance=MGDABalance()),
    "Eq. 5, 7, 8, verification 10": _marked(mea_defender_ssl, balance=HEAVY_VERIFICATION),
    "meeting point": _marked(meeting_point),
    "halfway": _marked(meeting_point, settings=MeetingPointSettings(PlanSettings(rounds=0))),
}
THIEVES: dict[str, Callable] = {
    "feature distillation": feature_distillation.extract,
    "cosine distillation": partial(
        feature_distillation.extract, settings=FeatureDistillationSettings("cosine")
    ),
    "StolenEncoder": stolen_encoder.extract,
    "Cont-Steal": cont_steal.extract,
    "feature distillation, AlexNet": partial(feature_distillation.extract, network="alexnet"),
}
OWN = "none"  # the encoder itself, not a copy
STOLEN = {
    "clean": ("feature distillation", "StolenEncoder"),
    "Eq. 5–8, weights 1": ("feature distillation", "StolenEncoder"),
    "meeting point": tuple(THIEVES),
    "halfway": ("feature distillation",),
}


def run_one(
    data: mea.Data, scale: mea.Scale, encoder: str, thief: str, seed: int, key: mea.WatermarkKey = KEY
) -> dict:
    """One encoder of this seed, or one copy of it, seen through a probe."""
    victim = ENCODERS[encoder](data, scale, key, seed)
    found = victim
    if thief != OWN:
        found = THIEVES[thief](mea.FeatureOracle(victim), data.queries, scale, seed=seed)
    row = {"encoder": encoder, "thief": thief, "seed": seed}
    row |= probe_says(found, data, key)
    row["victim_accuracy"] = row["accuracy"] if thief == OWN else probe_says(victim, data, key)["accuracy"]
    return row | {"seconds": found.card["seconds"]}


def probe_says(encoder: Encoder, data: mea.Data, key: mea.WatermarkKey) -> dict:
    """Accuracy of a linear probe, its mark, and how often other mixes of the two classes go to the target class."""
    asked = mea.Oracle(fit_linear_probe(encoder, data.train, images=LABELLED))
    wrong = [rate.value for rate in proof.wrong_firing_rates(asked, key, data.test).values()]
    return {
        "accuracy": proof.accuracy(asked, data.test),
        "wsr": proof.watermark_success_rate(asked, key, data.test).value,
        "wfpr": sum(wrong) / len(wrong),
        "largest_wfpr": max(wrong),
    }


def jobs(
    encoders: Iterable[str] = tuple(ENCODERS), stolen: Mapping[str, Sequence[str]] = STOLEN
) -> list[tuple[str, str, int]]:
    """Every encoder, then its copies; seed by seed, so that an early look is at all cases."""
    return [
        (encoder, thief, seed)
        for seed in SEEDS
        for encoder in encoders
        for thief in (OWN, *stolen.get(encoder, ()))
    ]


def settings(
    key: mea.WatermarkKey = KEY,
    encoders: Iterable[str] = tuple(ENCODERS),
    stolen: Mapping[str, Sequence[str]] = STOLEN,
) -> dict:
    """What was studied."""
    return {
        "key": key.to_json(),
        "encoders": list(encoders),
        "stolen": {encoder: list(thieves) for encoder, thieves in stolen.items()},
        "labelled_images_of_a_probe": LABELLED,
        "seeds": list(SEEDS),
    }


def summary(rows: list[dict]) -> list[dict]:
    """By encoder and thief: means over seeds, and what a copy's probe loses against the victim's."""
    return by_group(rows, ("encoder", "thief"), "wfpr", "largest_wfpr")


if __name__ == "__main__":
    run("encoder_study", jobs(), run_one, summary, settings())
