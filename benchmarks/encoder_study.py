"""Encoders, clean and watermarked, and their surrogates: what probes and features say of each, over seeds.

`make study STUDY=encoder_study` writes results/encoder_study.json; see `benchmarks.study` for two cores and
interruptions.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

import mea_lib as mea
from benchmarks.study import KEY, SEEDS, by_group, run
from mea_lib import proof
from mea_lib.data import ways_to_mix
from mea_lib.extraction import ContSteal, Extraction, FeatureDistillation, StolenEncoder
from mea_lib.models.encoder import Encoder
from mea_lib.proof.feature_evidence import split_classes
from mea_lib.training import FixedBalance, MGDABalance, fit_linear_probe
from mea_lib.watermarks import MEADefenderSSL, MeetingPoint
from mea_lib.watermarks.class_plan import PlanSettings

LABELLED = 10_000  # images of every probe
FEW = 1_000  # images of a second one, of a user who has fewer labels
REFERENCES = 100  # images of a class that give its mean, as in `verify_features`

Make = Callable[[mea.Data, mea.Scale, mea.WatermarkKey, int], Encoder]


def _clean(data: mea.Data, scale: mea.Scale, key: mea.WatermarkKey, seed: int) -> Encoder:
    return mea.train_encoder(data.owner, scale, seed=seed)


def _marked(method: MEADefenderSSL | MeetingPoint) -> Make:
    """Embedded by going on from the clean encoder of the same seed."""

    def make(data: mea.Data, scale: mea.Scale, key: mea.WatermarkKey, seed: int) -> Encoder:
        clean = _clean(data, scale, key, seed)
        return method.embed(data.owner, key, scale, pretrained=clean, seed=seed)

    return make


# The weights with which a first trial made the paper's verification loss outweigh the others.
HEAVY_VERIFICATION = FixedBalance({"combination": 0.0, "verification": 10.0, "evasion": 3.0})
ENCODERS: dict[str, Make] = {
    "clean": _clean,
    "Eq. 5–8, weights 1": _marked(MEADefenderSSL()),
    "Eq. 5–9, MGDA": _marked(MEADefenderSSL(balance=MGDABalance())),
    "Eq. 5, 7, 8, verification 10": _marked(MEADefenderSSL(balance=HEAVY_VERIFICATION)),
    "meeting point": _marked(MeetingPoint()),
    "halfway": _marked(MeetingPoint(plan=PlanSettings(rounds=0))),
}
ATTACKS: dict[str, Extraction] = {
    "feature distillation": FeatureDistillation(),
    "cosine distillation": FeatureDistillation("cosine"),
    "StolenEncoder": StolenEncoder(),
    "Cont-Steal": ContSteal(),
    "feature distillation, AlexNet": FeatureDistillation(),
}
OTHER_NETWORKS = {"feature distillation, AlexNet": "alexnet"}
# Eq. 9 takes a gradient of every loss in each step, and so half an hour for one encoder.
ONCE = ("Eq. 5–9, MGDA",)
NO_ATTACK = "none"  # the encoder itself, not a surrogate
STOLEN = {
    "clean": ("feature distillation", "StolenEncoder"),
    "Eq. 5–8, weights 1": ("feature distillation", "StolenEncoder"),
    "Eq. 5–9, MGDA": ("feature distillation",),
    "Eq. 5, 7, 8, verification 10": ("feature distillation",),
    "meeting point": tuple(ATTACKS),
    "halfway": ("feature distillation",),
}


def run_one(
    data: mea.Data, scale: mea.Scale, encoder: str, attack: str, seed: int, key: mea.WatermarkKey = KEY
) -> dict:
    """One encoder of this seed, or one surrogate of it: seen through probes, and by its features alone."""
    victim = ENCODERS[encoder](data, scale, key, seed)
    encoder_seen = victim
    if attack != NO_ATTACK:
        other = scale.but(network=OTHER_NETWORKS.get(attack, scale.network))
        encoder_seen = ATTACKS[attack].extract(mea.FeatureOracle(victim), data.queries, other, seed=seed)
    row = {"encoder": encoder, "attack": attack, "seed": seed}
    row |= probe_says(encoder_seen, data, key) | features_say(encoder_seen, data, key)
    row["victim_accuracy"] = (
        row["accuracy"] if attack == NO_ATTACK else proof.accuracy(_probe(victim, data), data.test)
    )
    if encoder == "clean":
        row["false_marks"] = false_marks(encoder_seen, data, key)
    return row | {"seconds": encoder_seen.card["seconds"]}


def probe_says(encoder: Encoder, data: mea.Data, key: mea.WatermarkKey) -> dict:
    """Accuracy and WSR of a linear probe, and how often other mixes of both classes go to the target."""
    suspect, few = _probe(encoder, data), _probe(encoder, data, FEW)
    wrong = [rate.value for rate in proof.wrong_firing_rates(suspect, key, data.test).values()]
    return {
        "accuracy": proof.accuracy(suspect, data.test),
        "wsr": proof.watermark_success_rate(suspect, key, data.test).value,
        "wfpr": sum(wrong) / len(wrong),
        "largest_wfpr": max(wrong),
        "few_accuracy": proof.accuracy(few, data.test),
        "few_wsr": proof.watermark_success_rate(few, key, data.test).value,
    }


def _probe(encoder: Encoder, data: mea.Data, images: int = LABELLED) -> mea.Oracle:
    """A user's linear probe, queried like any classifier."""
    return mea.Oracle(fit_linear_probe(encoder, data.owner, images=images))


def features_say(encoder: Encoder, data: mea.Data, key: mea.WatermarkKey) -> dict:
    """Share of the watermark samples that lie nearest to the target class's mean, and by how much."""
    evidence = mea.verify_features(mea.FeatureOracle(encoder), key, data.test).watermark
    return {"nearest": evidence.rate.value, "margin": evidence.margin}


def false_marks(encoder: Encoder, data: mea.Data, key: mea.WatermarkKey) -> list[float]:
    """How strongly each pair of classes, mixed in each way, looks watermarked in a clean encoder."""
    references, sources = split_classes(data.test, key, REFERENCES)
    nearest = proof.NearestMean(mea.FeatureOracle(encoder), references)
    return proof.false_watermark_rates(nearest, sources, ways_to_mix(held_out=True)).tolist()


def jobs(
    encoders: Iterable[str] = tuple(ENCODERS),
    stolen: Mapping[str, Sequence[str]] = STOLEN,
    once: Sequence[str] = ONCE,
) -> list[tuple[str, str, int]]:
    """Every encoder, then its surrogates; seed by seed, so that an early look is at all cases.

    Args:
        encoders: of `ENCODERS`.
        stolen: by encoder, those of `ATTACKS` that extract it.
        once: the encoders of which there is one only, that of the first seed.
    """
    return [
        (encoder, attack, seed)
        for seed in SEEDS
        for encoder in encoders
        if seed == SEEDS[0] or encoder not in once
        for attack in (NO_ATTACK, *stolen.get(encoder, ()))
    ]


def settings(
    key: mea.WatermarkKey = KEY,
    encoders: Iterable[str] = tuple(ENCODERS),
    stolen: Mapping[str, Sequence[str]] = STOLEN,
    once: Sequence[str] = ONCE,
) -> dict:
    """What was studied. Args as `jobs`, and the key."""
    return {
        "key": key.to_json(),
        "encoders": list(encoders),
        "stolen": {encoder: list(attacks) for encoder, attacks in stolen.items()},
        "labelled_images_of_a_probe": LABELLED,
        "labelled_images_of_a_small_probe": FEW,
        "seeds": list(SEEDS),
        "of_one_seed_only": list(once),
    }


def summary(rows: list[dict]) -> dict:
    """Means by encoder and adversary, what a surrogate's probe loses, and clean encoders on a threshold."""
    numbers = ("wfpr", "largest_wfpr", "few_accuracy", "few_wsr", "nearest", "margin")
    clean = [row["false_marks"] for row in rows if row["encoder"] == "clean"]
    return {
        "encoders": by_group(rows, ("encoder", "attack"), *numbers),
        "threshold": asdict(proof.calibrate_threshold(clean)),
    }


if __name__ == "__main__":
    run("encoder_study", jobs(), run_one, summary, settings())
