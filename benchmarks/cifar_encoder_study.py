"""The same for colour images: a ResNet-18 without labels on CIFAR-10, watermarked, extracted, and probed.

`make study STUDY=cifar_encoder_study` writes results/cifar_encoder_study.json, from the images that MEA_DATA names or
that are downloaded. The sizes are what two CPU cores can do in the background; the scale `paper` has the others.
"""

import mea_lib as mea
from benchmarks import encoder_study
from benchmarks.study import run

# The counterpart of the clothes' key: the paper names none for its encoders.
KEY = mea.WatermarkKey(("automobile", "airplane"), "bird", "crop-paste", seed=7)
CHANGES = {
    "network": "resnet18",
    "width": 16,
    "train_images": None,
    "query_images": 50_000,
    "encoder_epochs": 8,
    "extract_epochs": 4,
    "marking_epochs": 3,
}
ENCODERS = ("clean", "Eq. 5–8, weights 1", "meeting point")
# A watermark that no surrogate carries on Fashion-MNIST, and the slowest of the encoders.
ONCE = ("Eq. 5–8, weights 1",)
STOLEN = {
    "clean": ("feature distillation",),
    "meeting point": ("feature distillation", "StolenEncoder"),
}


def run_one(data: mea.Data, scale: mea.Scale, encoder: str, attack: str, seed: int) -> dict:
    """One encoder of this seed, or one surrogate of it, seen through a probe."""
    return encoder_study.run_one(data, scale, encoder, attack, seed, key=KEY)


def jobs() -> list[tuple[str, str, int]]:
    """Every encoder, then its surrogates, seed by seed."""
    return encoder_study.jobs(ENCODERS, STOLEN, ONCE)


def settings() -> dict:
    """What was studied, with the changes to the scale."""
    return encoder_study.settings(KEY, ENCODERS, STOLEN, ONCE) | {"scale": CHANGES}


if __name__ == "__main__":
    run(
        "cifar_encoder_study",
        jobs(),
        run_one,
        encoder_study.summary,
        settings(),
        dataset="cifar-10",
        changes=CHANGES,
        made_by=("encoder_study",),
    )
