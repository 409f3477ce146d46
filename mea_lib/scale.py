"""Scales: the same chapter as a smoke test, on a laptop, on one rented GPU, or at the paper's size."""

import os
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Scale:
    """How much is trained and measured. Every result carries the name of its scale.

    Attributes:
        name: smoke, laptop, colab or paper.
        network: the network of victims and surrogates, see `mea_lib.models.NETWORKS`.
        width: channels of its first layer; all other layers are multiples of it.
        train_images: images the owner trains on; None takes the whole half of the training images.
        query_images: of the adversary's half, the images that they query.
        held_out_images: further ones of that half, which they label by hand to clean a model with.
        test_images: of the judge; None takes all there are.
        epochs: of the owner.
        extract_epochs: of the adversary, over their queries.
        encoder_epochs: of an owner who trains an encoder without labels, two views of each image an epoch.
        marking_epochs: in which an encoder that is trained already gets its watermark.
        batch_size: clean images in a step.
        watermark_batch: watermark samples in a step, and as many random mixes beside them.
        optimizer: of classifiers, one of `mea_lib.training.settings.OPTIMIZERS`.
        schedule: of classifiers, one of `mea_lib.training.settings.SCHEDULES`.
        learning_rate: the highest of the schedule, for AdamW and Adam, and for what Muon leaves to AdamW.
        augment: whether owners mirror and shift their images; an adversary decides for themself.
        verification_samples: watermark samples asked of a suspect (the paper: at least 1,000).
        ablation_epochs: epochs in comparisons of many small victims (losses one by one, thresholds).
        ablation_images: training images in those comparisons; None takes all there are.
        null_models: clean models, and as many watermarked ones, that calibrate the threshold (paper: 200).
        seeds: the seeds of a comparison that reports a spread.
    """

    name: str
    network: str
    width: int
    train_images: int | None
    query_images: int
    held_out_images: int
    test_images: int | None
    epochs: int
    extract_epochs: int
    encoder_epochs: int
    marking_epochs: int
    batch_size: int
    watermark_batch: int
    optimizer: str
    schedule: str
    learning_rate: float
    augment: bool
    verification_samples: int
    ablation_epochs: int
    ablation_images: int | None
    null_models: int
    seeds: tuple[int, ...]

    def but(self, **changes) -> "Scale":
        """The same scale with some of its fields changed."""
        return replace(self, **changes)


_PRESETS = {
    preset.name: preset
    for preset in (
        Scale(
            name="smoke",
            network="nine_layer_cnn",
            width=4,
            train_images=1_500,
            query_images=1_000,
            held_out_images=500,
            test_images=2_000,
            epochs=1,
            extract_epochs=1,
            encoder_epochs=1,
            marking_epochs=1,
            batch_size=128,
            watermark_batch=24,
            optimizer="muon",
            schedule="linear",
            learning_rate=2e-3,
            augment=False,
            verification_samples=200,
            ablation_epochs=1,
            ablation_images=1_000,
            null_models=2,
            seeds=(0,),
        ),
        Scale(
            name="laptop",
            network="nine_layer_cnn",
            width=12,
            train_images=None,
            query_images=25_000,
            held_out_images=5_000,
            test_images=None,
            epochs=2,
            extract_epochs=2,
            encoder_epochs=3,
            marking_epochs=3,
            batch_size=256,
            watermark_batch=48,
            optimizer="muon",
            schedule="linear",
            learning_rate=2e-3,
            augment=False,
            verification_samples=1_000,
            ablation_epochs=2,
            ablation_images=15_000,
            null_models=4,
            seeds=(0, 1, 2),
        ),
        Scale(
            name="colab",
            network="nine_layer_cnn",
            width=32,
            train_images=None,
            query_images=25_000,
            held_out_images=5_000,
            test_images=None,
            epochs=12,
            extract_epochs=12,
            encoder_epochs=60,
            marking_epochs=24,
            batch_size=256,
            watermark_batch=48,
            optimizer="muon",
            schedule="linear",
            learning_rate=2e-3,
            augment=False,
            verification_samples=2_000,
            ablation_epochs=6,
            ablation_images=None,
            null_models=10,
            seeds=(0, 1, 2),
        ),
        Scale(
            name="paper",
            network="nine_layer_cnn",
            width=64,
            train_images=None,
            query_images=25_000,
            held_out_images=5_000,
            test_images=None,
            epochs=100,
            extract_epochs=100,
            encoder_epochs=100,
            marking_epochs=40,
            batch_size=128,
            watermark_batch=24,
            optimizer="adam",
            schedule="step",
            learning_rate=1e-3,
            augment=True,
            verification_samples=2_000,
            ablation_epochs=100,
            ablation_images=None,
            null_models=200,
            seeds=(0, 1, 2, 3, 4),
        ),
    )
}

SCALES = tuple(_PRESETS)


def preset(name: str | None = None) -> Scale:
    """The scale called `name`; without one, what the variable MEA_SCALE says, else laptop.

    Raises:
        ValueError: for a name that is no scale.
    """
    name = name or os.environ.get("MEA_SCALE") or "laptop"
    if name not in _PRESETS:
        raise ValueError(f"unknown scale {name!r}; choose one of: {', '.join(SCALES)}")
    return _PRESETS[name]
