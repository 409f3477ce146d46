"""Margin-based watermarking (MBW): images with wrong labels, each kept far from the decision boundary.

A model that merely knows some wrong labels by heart has its boundary close around these images, and no surrogate finds
it there. So each step moves them first to where they are nearly lost, and trains on them there: the wrong labels then
hold for a whole neighbourhood, and that changes answers which an adversary sees.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mea_lib.data import ImageSet
from mea_lib.losses import utility_loss, verification_loss
from mea_lib.models import ImageClassifier
from mea_lib.models.evaluation import in_evaluation
from mea_lib.scale import Scale
from mea_lib.training import Batch, Objective, Terms, fit
from mea_lib.watermarks.base import Watermark


@dataclass(frozen=True)
class TriggerKey:
    """Which images carry the watermark, and what they are to be called.

    Attributes:
        number: trigger images, taken out of the owner's; 100 are the authors'.
        seed: draws images and labels.
    """

    number: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"the number of trigger images must be at least 1, not {self.number}")


@dataclass(frozen=True)
class TriggerSet:
    """What a suspect is asked, and what it counts for.

    A success is a trigger image that the suspect calls its label here (`mea_lib.proof.trigger_success_rate`).

    Attributes:
        images: (N, C, H, W) uint8 trigger images.
        labels: (N,) the wrong labels drawn for them.
        rest: the owner's other images, which alone the clean task is trained on.
    """

    images: Tensor
    labels: Tensor
    rest: ImageSet

    @classmethod
    def drawn_from(cls, train_set: ImageSet, key: TriggerKey) -> "TriggerSet":
        """Hold images out of the owner's, and draw a wrong label for each, every other class as likely as any.

        Args:
            train_set: the owner's labelled images, as `embed` is given them.
            key: how many, and the seed.

        Raises:
            TypeError: for a key of another kind.
            ValueError: where no image would be left to train on.
        """
        if not isinstance(key, TriggerKey):
            raise TypeError(
                f"trigger images are drawn by a TriggerKey, not {type(key).__name__}; pass TriggerKey(seed=…)"
            )
        if key.number >= len(train_set):
            raise ValueError(
                f"{key.number} trigger images cannot be held out of {len(train_set)}; pass more images, or a key of "
                "fewer"
            )
        generator = torch.Generator().manual_seed(key.seed)
        order = torch.randperm(len(train_set), generator=generator)
        held_out, rest = (
            train_set.subset(part) for part in (order[: key.number], order[key.number :].sort().values)
        )
        classes = len(train_set.classes)
        turned = 1 + torch.randint(classes - 1, (key.number,), generator=generator)
        labels = (held_out.labels + turned.to(held_out.labels.device)) % classes
        return cls(held_out.images, labels, rest)

    @property
    def chance(self) -> float:
        """The rate at which the draw of the labels alone makes any model agree, at most: 1 / (K − 1).

        It holds for whatever a model says to these images, provided that they were committed to before the suspect
        was made.
        """
        return 1 / (len(self.rest.classes) - 1)


@dataclass(frozen=True)
class MarginBased(Watermark):
    """Trigger images with wrong labels, trained on after gradient ascent on their loss; its key is a `TriggerKey`.

    Attributes:
        balance: loss weighting of the two terms, which have their weights already.
        weight: of a trigger image beside a clean one. The loss is the mean over both kinds together.
        batch: trigger images in a step, drawn with replacement.
        steps: of gradient ascent.
        step: by which each pixel moves in one, of pixels in [0, 1]. Five of 1/255 move none further than 5/255, and
            that is all that bounds them, beside the range of pixels.

    Source: Kim et al., Margin-based Neural Network Watermarking (ICML 2023), with the numbers of the released code:
    there the owner trains a ResNet-34 for 200 epochs with SGD (0.1, a tenth of it after 100 and after 150, weight
    decay 1e-4), here as the scale says, and many fewer steps need a larger weight. There the network ascends in training
    mode, on the statistics of the trigger images alone, and runs over them once more by themselves, so that these also
    fill the running statistics of its batch normalisation; here it ascends in evaluation mode, as it will be verified,
    and one forward pass sees clean and trigger images together.
    """

    weight: float = 0.1
    batch: int = 25
    steps: int = 5
    step: float = 1 / 255

    def __post_init__(self) -> None:
        if self.weight <= 0 or self.batch < 1 or self.steps < 0 or self.step <= 0:
            raise ValueError(
                "weight and step must be above 0, batch at least 1 and steps at least 0, "
                f"not {self.weight}, {self.step}, {self.batch} and {self.steps}"
            )

    def embed(
        self,
        train_set: ImageSet,
        key: TriggerKey,
        scale: Scale,
        *,
        seed: int = 0,
        pretrained: nn.Module | None = None,
    ) -> nn.Module:
        """As `Watermark.embed`; `TriggerSet.drawn_from(train_set, key)` gives the images to verify with."""
        triggers = TriggerSet.drawn_from(train_set, key)
        recipe = self.recipe(scale, key=key, triggers=triggers.images, trigger_labels=triggers.labels)

        def make_objective(rest: ImageSet) -> Objective:
            device = rest.images.device
            on_device = replace(
                triggers, images=triggers.images.to(device), labels=triggers.labels.to(device), rest=rest
            )
            return self.objective(rest, on_device)

        start = self.start(triggers.rest, scale, pretrained)
        return fit(
            triggers.rest, make_objective, self.training(scale).but(seed=seed), recipe, start, self.balance
        )

    def objective(self, train_set: ImageSet, extras: TriggerSet) -> Objective:
        """The mean of the cross-entropy of clean images and the weighted one of moved trigger images."""
        one_hot = torch.eye(len(train_set.classes), device=train_set.images.device)

        def objective(model: ImageClassifier, batch: Batch) -> Terms:
            drawn = torch.randint(len(extras.images), (self.batch,), generator=batch.generator)
            drawn = drawn.to(extras.images.device)
            labels = extras.labels[drawn]
            moved = ascend(model, extras.images[drawn].float() / 255, labels, self.steps, self.step)
            parts = [batch.images.float() / 255, moved]
            clean, triggers = model(torch.cat(parts)).split([len(part) for part in parts])
            share = self.batch / (len(batch.images) + self.batch)
            losses = {
                "utility": (1 - share) * utility_loss(clean, one_hot[train_set.labels[batch.index]]),
                "verification": share * self.weight * verification_loss(triggers, labels),
            }
            return Terms(losses)

        return objective


def ascend(model: nn.Module, pixels: Tensor, labels: Tensor, steps: int, step: float) -> Tensor:
    """Signed gradient ascent on the cross-entropy to the labels, within the range of pixels.

    Args:
        model: a module; it is in evaluation mode meanwhile, and left in the mode it was in.
        pixels: (N, C, H, W) in [0, 1].
        labels: (N,).
        steps: how many.
        step: by which each pixel moves in one.

    Returns:
        (N, C, H, W), in float32 and without a gradient.
    """
    # The gradient of a small loss would be 0 in float16.
    with in_evaluation(model), torch.enable_grad(), torch.autocast(pixels.device.type, enabled=False):
        for _ in range(steps):
            pixels = pixels.detach().requires_grad_()
            loss = F.cross_entropy(model(pixels), labels, reduction="sum")
            (gradient,) = torch.autograd.grad(loss, pixels)
            pixels = (pixels + step * gradient.sign()).clamp(0, 1)
    return pixels.detach()
