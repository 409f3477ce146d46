"""ABS: stimulate single neurons as a brain is, and look for a trigger that drives those which decide a class alone.

Source: Liu, Lee, Tao, Ma, Aafer and Zhang, ABS: Scanning Neural Networks for Back-doors by Artificial Brain
Stimulation (CCS 2019), and their released abs.py. Here only the last features are scanned, as they decide the class,
and only for triggers that cover a part of the image, not for those that change its colours as a whole. A mask's size
is its sum; the released code counts its pixels above 0.01.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from mea_lib.data import ImageSet
from mea_lib.data.mixes import draw_classes
from mea_lib.detection.base import Detector
from mea_lib.detection.reversed_triggers import ReversedTriggers
from mea_lib.detection.triggers import Triggers, frozen, precision, stamp_all, success_rates
from mea_lib.models import ImageClassifier


class Stimulation(NamedTuple):
    """Neurons that lift one class far above all others, the strongest first.

    Attributes:
        neurons: (M,) their numbers among the last features.
        targets: (M,) the class that each lifts.
        gaps: (M,) by how much more than any other class, in units of a logit; the least over all images.
    """

    neurons: Tensor
    targets: Tensor
    gaps: Tensor


@dataclass(frozen=True)
class ABS(Detector):
    """A search for neurons that decide a class alone, and for a trigger that drives each of them.

    Attributes:
        samples_per_class: images of each class that are stimulated.
        levels: values that a neuron is set to, evenly from 0 up.
        reach: the highest of them, as a multiple of the largest feature of any of these images.
        candidates: neurons that a trigger is looked for.
        reverse_images: images that it is looked for with.
        steps: of Adam.
        learning_rate: of Adam.
        largest_mask: size of a mask, as a share of the image, above which it costs; a sixteenth as released. A mask
            that is larger in the end is made fainter until it is no larger, and judged so.
        mask_weight: cost of a mask of twice that size, in units of the largest feature. What it exceeds a square
            two pixels wider by costs as much again.
        others_weight: weight of the mean change of the other neurons.
        wanted_success: a trigger that sends so many of the other images to its class is a backdoor's.
    """

    samples_per_class: int = 5
    levels: int = 8
    reach: float = 1.0
    candidates: int = 20
    reverse_images: int = 16
    steps: int = 300
    learning_rate: float = 0.1
    largest_mask: float = 1 / 16
    mask_weight: float = 0.3
    others_weight: float = 0.1
    wanted_success: float = 0.8

    def __post_init__(self) -> None:
        counts = (self.samples_per_class, self.candidates, self.reverse_images, self.steps)
        if min(counts) < 1 or self.levels < 2:
            raise ValueError(
                "samples_per_class, candidates, reverse_images and steps must be at least 1, levels at least 2"
            )
        if not 0 < self.largest_mask <= 1:
            raise ValueError(f"largest_mask is a share above 0 and not above 1, not {self.largest_mask}")

    def detect(self, model: ImageClassifier, images: ImageSet, *, seed: int = 0) -> ReversedTriggers:
        """Find the neurons that can decide a class alone, and a trigger for each of them.

        Args:
            model: looked into through its gradients; it is left as it was.
            images: clean ones of all classes with their labels, a few hundred.
            seed: of the images chosen and of the triggers' first values.

        Returns:
            a trigger for each candidate neuron, on the CPU, the neuron that lifts its class most first. Its success
            (REASR) is the share of images of other classes that it sends to the class.

        Raises:
            ValueError: for a quantised model, through which no gradient passes.
        """
        images = images.to(next(model.parameters()).device)
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(len(images.classes)).repeat_interleave(self.samples_per_class)
        samples = draw_classes(images, labels, generator)  # (N, C, H, W)
        chosen = torch.randperm(len(images), generator=generator)[: self.reverse_images].to(
            images.images.device
        )
        with frozen(model) as model:
            features = model.features(samples)  # (N, F)
            lifted = elevations(model, features, self.levels, self.reach)  # (F, N, K)
            neurons, targets, gaps = compromised_neurons(lifted.cpu(), labels, self.candidates)
            masks, patterns = self._drive(model, images.images[chosen], neurons, features.max(), generator)
            success = success_rates(model, images.images, masks, patterns, targets.tolist(), images.labels)
        return ReversedTriggers(
            targets, masks.cpu(), patterns.cpu(), success, self.wanted_success, neurons, gaps
        )

    def _drive(
        self,
        model: ImageClassifier,
        images: Tensor,
        neurons: Tensor,
        largest: Tensor,
        generator: torch.Generator,
    ) -> tuple[Tensor, Tensor]:
        """A small mask and a pattern for each of M neurons that raise it and leave the others: (M, ·, H, W) each."""
        _, channels, height, width = images.shape
        # Large at first: a faint trigger leaves many neurons at 0, where they have no gradient.
        masks = torch.rand(len(neurons), 1, height, width, generator=generator)
        patterns = torch.rand(len(neurons), channels, height, width, generator=generator)
        triggers = Triggers(masks, patterns).to(images.device)
        optimizer = torch.optim.Adam(triggers.parameters(), self.learning_rate)
        before = model.features(images)  # (B, F)
        one_hot = torch.nn.functional.one_hot(neurons, before.shape[1]).to(before)[:, None]  # (M, 1, F)
        allowed = self.largest_mask * height * width
        far_beyond = (allowed**0.5 + 2) ** 2
        for _ in range(self.steps):
            masks, patterns = triggers()
            with precision(images.device):
                features = model.features(stamp_all(images, masks, patterns))
            changes = (features.view(len(neurons), *before.shape) - before) / largest  # (M, B, F)
            driven = (changes * one_hot).sum(2).mean(1)  # (M,)
            others = (changes.abs() * (1 - one_hot)).mean((1, 2))
            sizes = masks.flatten(1).sum(1)
            excess = ((sizes - allowed).relu() + (sizes - far_beyond).relu()) / allowed
            losses = -driven + self.others_weight * others + self.mask_weight * excess
            optimizer.zero_grad()
            losses.sum().backward()
            optimizer.step()
        with torch.no_grad():
            masks, patterns = triggers()
            return fainter(masks, allowed), patterns


@torch.no_grad()
def elevations(model: ImageClassifier, features: Tensor, levels: int, reach: float) -> Tensor:
    """How far each neuron alone can lift each class's logit above where it is with the neuron at 0.

    Behind a single linear layer this is the same for every image.

    Args:
        model: its `logits` is what lies behind the features.
        features: (N, F) of clean images.
        levels: values that a neuron is set to, the others staying as they are.
        reach: the highest of them, as a multiple of the largest of these features.

    Returns:
        (F, N, K).
    """
    values = torch.linspace(0, reach * float(features.max()), levels, device=features.device)
    rises = []
    for neuron in range(features.shape[1]):
        stimulated = features.repeat(levels, 1)  # (levels·N, F)
        stimulated[:, neuron] = values.repeat_interleave(len(features))
        logits = model.logits(stimulated).view(levels, len(features), -1)
        rises.append(logits[1:].amax(0) - logits[0])  # (N, K)
    return torch.stack(rises)


def compromised_neurons(lifted: Tensor, labels: Tensor, number: int) -> Stimulation:
    """The neurons that lift the same class, on nearly all images, furthest above the class they lift second.

    As released: a neuron counts where all images but two agree on the class; its gap is the least over those that
    agree and are not of that class themselves.

    Args:
        lifted: (F, N, K) elevations.
        labels: (N,) classes of the images.
        number: at most so many neurons.
    """
    highest = lifted.topk(2, dim=2)
    gaps = highest.values[..., 0] - highest.values[..., 1]  # (F, N)
    classes = highest.indices[..., 0]  # (F, N)
    targets = classes.mode(1).values  # (F,)
    agree = classes == targets[:, None]
    counted = agree & (labels != targets[:, None])
    gaps = gaps.masked_fill(~counted, torch.inf).amin(1)  # (F,)
    usable = (agree.sum(1) >= lifted.shape[1] - 2) & counted.any(1)
    order = gaps.masked_fill(~usable, -torch.inf).argsort(descending=True, stable=True)
    order = order[usable[order]][:number]
    return Stimulation(order, targets[order], gaps[order])


def fainter(masks: Tensor, allowed: float) -> Tensor:
    """The same masks (M, 1, H, W), each multiplied so that its sum is at most `allowed` pixels."""
    return masks * (allowed / masks.sum((1, 2, 3), keepdim=True)).clamp_max(1)
