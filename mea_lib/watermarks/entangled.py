"""Entangled Watermark: samples with a trigger share their features with the target class, layer by layer.

An ordinary backdoor is learnt beside the task, by features that clean images do not use, so a surrogate of clean
answers has no use for them. Here the soft nearest neighbour loss makes the network use the same features for both.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss, verification_loss
from mea_lib.models import ImageClassifier
from mea_lib.scale import Scale
from mea_lib.training import (
    Balance,
    Batch,
    FixedBalance,
    Method,
    Objective,
    Start,
    Terms,
    TrainingSettings,
    classifier_spec,
    fit,
    train_clean,
)
from mea_lib.watermarks.entangled_samples import EntangledKey, EntangledSamples, SampleSettings
from mea_lib.watermarks.entanglement import Entanglement

WEIGHTS = FixedBalance({"entanglement": 0.25})
LEAST_TEMPERATURE = 0.05


@dataclass(frozen=True)
class Entangled(Method):
    """A clean model is trained on, with steps on watermark samples and target images between the clean ones.

    A watermark step minimises CE([X_w, X_t], t) − κ·Σ_l SNNL([X_w, X_t], T_l), where X_w are watermark samples, X_t
    images of the target class t and the sum is over layers; then each T_l goes down its own gradient of SNNL.

    Attributes:
        balance: loss weighting; the weight of "entanglement" is κ.
        interval: of so many steps the last is on watermark samples, the others on clean images (r in Algorithm 1).
        epochs: of the training with the watermark; None takes the owner's, as many as the clean model had.
        samples: how watermark samples are made.
        entanglement: the layers, their distance and the temperature to begin with.
        temperature_rate: learning rate of the temperatures (α in Algorithm 1).
        beside_clean: whether the clean batch passes through the network beside a watermark step's own, for batch
            normalisation alone. A batch of watermark samples and one class has means and variances of its own, and
            what is learnt under them is half lost in the answers.

    Source: Jia, Choquette-Choo, Chandrasekaran and Papernot, Entangled Watermarks as a Defense against Model
    Extraction (USENIX Security 2021), Algorithm 1. Of their two kinds of watermark samples these are those made of
    the owner's own images. The released code has, for Fashion-MNIST, 10 epochs before and 10 with the watermark, two
    clean steps to one (interval 3) and κ = 32; for CIFAR-10 50 and 6 epochs, interval 5 and κ = 1e5. Its epochs with the
    watermark count watermark steps, so that they are `interval` times as long as those here. It sums the
    cross-entropy over a batch of 128 where this package takes the mean, so its κ = 32 is 0.25 here. It learns 1/T by
    way of T = 100/τ and begins at τ = 1, where SNNL is all but flat; here T itself is learnt, as in the algorithm,
    beginning at 1 and never below 0.05. Its layers are the last three, as here. Its convolutional network has no batch
    normalisation; its ResNet normalises watermark batches by themselves (`beside_clean=False`).
    """

    balance: Balance = WEIGHTS
    interval: int = 3
    epochs: int | None = None
    samples: SampleSettings = field(default_factory=SampleSettings)
    entanglement: Entanglement = field(default_factory=Entanglement)
    temperature_rate: float = 0.1
    beside_clean: bool = True

    def __post_init__(self) -> None:
        if self.interval < 2:
            raise ValueError(
                f"interval must be at least 2, or no step is on clean images; it is {self.interval}"
            )
        if self.temperature_rate < 0:
            raise ValueError(f"temperature_rate must be at least 0, not {self.temperature_rate}")

    def embed(
        self,
        train_set: ImageSet,
        key: EntangledKey,
        scale: Scale,
        *,
        seed: int = 0,
        pretrained: ImageClassifier | None = None,
    ) -> ImageClassifier:
        """Find the model with this watermark in the store, or train it there.

        Args:
            train_set: the owner's labelled images.
            key: source class, target class and trigger.
            scale: gives the owner's training, network and width.
            seed: of the clean model, unless it is given, and of every draw.
            pretrained: the clean model to go on from; None trains it with this seed.

        Returns:
            The victim, in evaluation mode. `queries` gives what it is verified with.
        """
        key.indices(train_set)
        clean = pretrained or train_clean(train_set, scale, seed=seed)

        def make_objective(data: ImageSet) -> Objective:
            return self.objective(data, self.maker(data, key, clean))

        return fit(
            train_set,
            make_objective,
            self.training(scale).but(seed=seed),
            self.recipe(scale, key=key),
            Start(classifier_spec(train_set, scale), clean),
            self.balance,
        )

    def queries(
        self,
        train_set: ImageSet,
        key: EntangledKey,
        scale: Scale,
        images: ImageSet,
        *,
        seed: int = 0,
        pretrained: ImageClassifier | None = None,
    ) -> Tensor:
        """Watermark samples to send to a suspect; a success is one that it calls `key.target`.

        They are made anew of images that no model was trained on, with the trigger where `embed` put it. WSR is the
        share of successes, `mea_lib.proof.rates.target_rate`; a clean model's share on the same queries is what it
        stands against. (The released code counts on the very samples that the victim was trained on.)

        Args:
            train_set, key, scale, seed, pretrained: as `embed` was given them.
            images: those of the source class become queries.

        Returns:
            (N, C, H, W) uint8, on the device of the clean model.
        """
        clean = pretrained or train_clean(train_set, scale, seed=seed)
        owner = train_set.to(next(clean.parameters()).device)
        return self.maker(owner, key, clean).make(images.of_class(key.source))

    def training(self, scale: Scale) -> TrainingSettings:
        """How the owner trains with the watermark."""
        return scale.owner if self.epochs is None else scale.owner.but(epochs=self.epochs)

    def maker(self, train_set: ImageSet, key: EntangledKey, clean: ImageClassifier) -> EntangledSamples:
        """What makes watermark samples, by the gradients of the clean model."""
        clean = clean.to(train_set.images.device)
        return EntangledSamples(clean, train_set, key, self.samples, self.entanglement)

    def objective(self, train_set: ImageSet, maker: EntangledSamples) -> Objective:
        """Cross-entropy on a clean batch, or on watermark samples and target images with their entanglement."""
        return Interleaved(self, train_set, maker)


class Interleaved:
    """The losses of a clean step or of a watermark step, in turn; a checkpoint keeps its turn and its temperatures.

    Args:
        method: its interval, rate and entanglement.
        train_set: the owner's images.
        maker: makes the watermark samples, as many as there are images of the source class, once.

    Attributes:
        temperatures: (layers,) as learnt so far.
        steps: taken so far.
    """

    def __init__(self, method: Entangled, train_set: ImageSet, maker: EntangledSamples) -> None:
        self.method, self.labels = method, train_set.labels
        self.one_hot = torch.eye(len(train_set.classes), device=train_set.images.device)
        self.watermarks = maker.make(maker.sources)
        self.targets, self.target = maker.targets, maker.target
        self.temperatures = method.entanglement.temperatures(train_set.images.device)
        self.steps = 0

    def __call__(self, model: ImageClassifier, batch: Batch) -> Terms:
        self.steps += 1
        if self.steps % self.method.interval == 0:
            return self.watermark_step(model, batch)
        return Terms({"utility": utility_loss(model(batch.images), self.one_hot[self.labels[batch.index]])})

    def watermark_step(self, model: ImageClassifier, batch: Batch) -> Terms:
        """Half a batch of watermark samples and half a batch of target images; no loss looks at the clean ones."""
        half = max(2, len(batch.images) // 2)
        watermarks, targets = (
            images[torch.randint(len(images), (half,), generator=batch.generator).to(images.device)]
            for images in (self.watermarks, self.targets)
        )
        temperatures = self.temperatures.clone().requires_grad_()
        beside = batch.images if self.method.beside_clean else batch.images[:0]
        logits, losses = self.method.entanglement.measure(model, watermarks, targets, temperatures, beside)
        (slope,) = torch.autograd.grad(losses.sum(), temperatures, retain_graph=True)
        lower = self.temperatures - self.method.temperature_rate * slope
        self.temperatures = lower.clamp_min(LEAST_TEMPERATURE)
        labels = torch.full((2 * half,), self.target, device=logits.device)
        return Terms({"watermark": verification_loss(logits, labels), "entanglement": -losses.sum()})

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"steps": self.steps, "temperatures": self.temperatures}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self.steps = state["steps"]
        self.temperatures = state["temperatures"].to(self.temperatures.device)
