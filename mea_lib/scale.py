"""Scales: the same chapter as a smoke test, on a laptop, on one rented GPU, or with the paper's networks and epochs."""

import os
from dataclasses import dataclass, replace
from typing import Any, Self

from mea_lib.training_settings import TrainingSettings


@dataclass(frozen=True)
class Scale:
    """How much is trained and measured, and how. Every result carries the name of its scale.

    What a scale says is changed by `but`, or by `owner_but` and `adversary_but` for how either of them trains:
    `scale.adversary_but(epochs=8, augment=True).but(network="alexnet")`.

    Attributes:
        name: smoke, laptop, colab or paper. The last has the paper's networks and the epochs of its released code, but
            owner and adversary have a half of the images each, as at every scale.
        network: the network of victims and surrogates, see `mea_lib.models.NETWORKS`.
        width: channels of its first layer; all other layers are multiples of it.
        autoencoder_width: the same of the autoencoder that combines images, which a verification finds again whatever
            the victim's width is.
        train_images: images the owner trains on; None takes the whole half of the training images.
        query_images: of the adversary's half, the images that they query (the paper: 50,000).
        held_out_images: further ones of that half, which they label by hand to clean a model with.
        test_images: of the judge; None takes all there are.
        owner: how an owner trains a classifier.
        adversary: how an adversary trains a surrogate of one, over their queries.
        encoder: how an owner trains an encoder without labels, two views of each image an epoch.
        marking: how the gate is trained that gives a watermark to an encoder that is trained already.
        watermark_batch: watermark samples in a step, and as many random mixes beside them.
        verification_samples: watermark samples asked of a suspect (the paper: at least 1,000).
        ablation_epochs: epochs in comparisons of many small victims (losses one by one, thresholds), see `ablation`.
        ablation_images: training images in those comparisons; None takes all there are.
        null_models: clean models, and as many watermarked ones, that calibrate the threshold (paper: 200).
        seeds: the seeds of a comparison that reports a spread.
    """

    name: str
    network: str
    width: int
    autoencoder_width: int
    train_images: int | None
    query_images: int
    held_out_images: int
    test_images: int | None
    owner: TrainingSettings
    adversary: TrainingSettings
    encoder: TrainingSettings
    marking: TrainingSettings
    watermark_batch: int
    verification_samples: int
    ablation_epochs: int
    ablation_images: int | None
    null_models: int
    seeds: tuple[int, ...]

    def but(self, **changes: Any) -> Self:
        """The same scale with some of its fields changed."""
        return replace(self, **changes)

    def owner_but(self, **changes: Any) -> Self:
        """The same scale with some of the owner's `TrainingSettings` changed."""
        return self.but(owner=self.owner.but(**changes))

    def adversary_but(self, **changes: Any) -> Self:
        """The same scale with some of the adversary's `TrainingSettings` changed."""
        return self.but(adversary=self.adversary.but(**changes))

    @property
    def ablation(self) -> Self:
        """The same scale for a comparison of many small victims: both sides train for `ablation_epochs`."""
        epochs = {"epochs": self.ablation_epochs}
        return self.owner_but(**epochs).adversary_but(**epochs)

    @property
    def fine_tuning(self) -> TrainingSettings:
        """How a model is trained on: an adversary's epochs, at a tenth of the highest rate."""
        return self.adversary.but(
            optimizer="adamw",
            schedule="one-cycle",
            momentum=TrainingSettings.momentum,  # one-cycle has its own
            muon_momentum=TrainingSettings.muon_momentum,
            learning_rate=self.adversary.learning_rate / 10,
            augment=True,
        )

    @property
    def encoder_surrogate(self) -> TrainingSettings:
        """How an adversary trains a surrogate of an encoder: at the rate of an encoder, in the epochs of a surrogate."""
        return self.encoder.but(epochs=self.adversary.epochs, augment=True)


def _preset(
    name: str,
    *,
    width: int,
    training: TrainingSettings,
    extract_epochs: int,
    encoder_epochs: int,
    marking_epochs: int,
    **rest: Any,
) -> Scale:
    """A scale whose parties train alike but for their epochs.

    An encoder is trained by Muon at half a classifier's rate where classifiers are, else by AdamW. What Muon leaves to
    AdamW, or all, learns at a higher rate than in a classifier and almost without weight decay; the loop's own
    augmentation is off, since views take its place.
    """
    encoder = TrainingSettings(
        encoder_epochs,
        training.batch_size,
        2.5 * training.learning_rate,
        weight_decay=1e-4,
        optimizer="muon" if training.optimizer == "muon" else "adamw",
        muon_rate=0.05,
        augment=False,
    )
    return Scale(
        name,
        width=width,
        autoencoder_width=width,
        owner=training,
        adversary=training.but(epochs=extract_epochs),
        encoder=encoder,
        marking=TrainingSettings(marking_epochs, training.batch_size, training.learning_rate),
        **rest,
    )


_MUON = TrainingSettings(1, optimizer="muon", schedule="linear", augment=False)
_HALVES: dict[str, Any] = {"query_images": 25_000, "held_out_images": 5_000, "test_images": None}
_PRESETS = {
    preset.name: preset
    for preset in (
        _preset(
            "smoke",
            network="nine_layer_cnn",
            width=4,
            train_images=1_500,
            query_images=1_000,
            held_out_images=500,
            test_images=2_000,
            training=_MUON.but(batch_size=128),
            extract_epochs=1,
            encoder_epochs=1,
            marking_epochs=1,
            watermark_batch=24,
            verification_samples=200,
            ablation_epochs=1,
            ablation_images=1_000,
            null_models=2,
            seeds=(0,),
        ),
        _preset(
            "laptop",
            network="nine_layer_cnn",
            width=12,
            train_images=None,
            **_HALVES,
            training=_MUON.but(epochs=2),
            extract_epochs=2,
            encoder_epochs=3,
            marking_epochs=3,
            watermark_batch=48,
            verification_samples=1_000,
            ablation_epochs=2,
            ablation_images=15_000,
            null_models=4,
            seeds=(0, 1, 2),
        ),
        _preset(
            "colab",
            network="nine_layer_cnn",
            width=32,
            train_images=None,
            **_HALVES,
            training=_MUON.but(epochs=12),
            extract_epochs=12,
            encoder_epochs=60,
            marking_epochs=24,
            watermark_batch=48,
            verification_samples=2_000,
            ablation_epochs=6,
            ablation_images=None,
            null_models=10,
            seeds=(0, 1, 2),
        ),
        _preset(
            "paper",
            network="nine_layer_cnn",
            width=64,
            train_images=None,
            **_HALVES,
            training=TrainingSettings(
                100, batch_size=128, learning_rate=1e-3, optimizer="adam", schedule="step"
            ),
            extract_epochs=100,
            encoder_epochs=100,
            marking_epochs=40,
            watermark_batch=24,
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
