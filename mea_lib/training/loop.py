"""The one training loop: images stay on the device as uint8, a step augments a whole batch there."""

import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn
from tqdm import tqdm

from mea_lib.progress import is_watched
from mea_lib.seeded import seeded
from mea_lib.training.augment import augment
from mea_lib.training.balance import Balance, FixedBalance, Terms
from mea_lib.training.checkpoint import next_checkpoint
from mea_lib.training.device import autocast, training_dtype
from mea_lib.training.muon import Muon
from mea_lib.training_settings import CYCLED, TrainingSettings

SHORTEST_CYCLE = 10  # steps


class Batch(NamedTuple):
    """One step's clean images.

    Attributes:
        images: (N, C, H, W) uint8, augmented.
        index: (N,) their places in the training images.
        generator: for every other draw of the step.
        progress: share of the training that is done, from 0 to 1.
    """

    images: Tensor
    index: Tensor
    generator: torch.Generator
    progress: float


Objective = Callable[[nn.Module, Batch], Terms]


@dataclass
class History:
    """What happened: means over each epoch, and the time it took."""

    losses: dict[str, list[float]] = field(default_factory=dict)
    weights: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0

    def to_dict(self) -> dict:
        return {
            "losses": self.losses,
            "weights": self.weights,
            "seconds": round(self.seconds, 1),
        }


def train(
    model: nn.Module,
    images: Tensor,
    objective: Objective,
    settings: TrainingSettings,
    *,
    balance: Balance | None = None,
    title: str = "training",
) -> History:
    """Train `model` in place and leave it in evaluation mode.

    Args:
        model: takes (N, C, H, W) uint8 images; it and the images are on the same device.
        images: (M, C, H, W) uint8; a batch holds a random part of them, augmented.
        objective: gives the losses of a batch by name.
        settings: epochs, optimizer, seed and so on.
        balance: loss weighting, how several losses become one gradient; a plain sum by default.
        title: shown in front of the progress bar, which appears on a terminal only.

    Raises:
        FloatingPointError: when a loss is no longer a number.
        ValueError: where there is no image.
    """
    if not len(images):
        raise ValueError("there are no images to train on")
    if len(images) < settings.batch_size:
        settings = settings.but(batch_size=len(images))
    balance = balance or FixedBalance()
    device = images.device
    dtype = training_dtype(device)
    generator = torch.Generator().manual_seed(settings.seed)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    steps = len(images) // settings.batch_size
    optimizers, schedulers = _optimizers(parameters, settings, steps)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    scaler.scale(torch.ones((), device=device))  # makes its scale known before the first step
    history, first_epoch, of = History(), 0, {"images": len(images), **settings.to_dict()}
    started = time.perf_counter()
    with seeded(settings.seed, device), _bar(settings.epochs * steps, title) as bar:
        parts = {"model": model, "objective": objective, "generator": generator, "scaler": scaler}
        parts |= {f"optimizer {number}": one for number, one in enumerate(optimizers)}
        parts |= {f"scheduler {number}": one for number, one in enumerate(schedulers)}
        checkpoint = next_checkpoint(**parts)
        if checkpoint and (done := checkpoint.restore(of)):
            history, first_epoch = History(**done["history"]), done["epochs"]
            started -= history.seconds
            bar.update(first_epoch * steps)
        scale = scaler.get_scale()  # 1 where nothing is scaled
        for epoch in range(first_epoch, settings.epochs):
            model.train()
            means = _Means()
            order = torch.randperm(len(images), generator=generator).to(device)
            for step in range(steps):
                index = order[step * settings.batch_size : (step + 1) * settings.batch_size]
                chosen = augment(images[index], generator) if settings.augment else images[index]
                progress = (epoch + step / steps) / settings.epochs
                with autocast(device, dtype):
                    terms = objective(model, Batch(chosen, index, generator, progress))
                model.zero_grad(set_to_none=True)
                weights = balance.backward(terms, parameters, epoch, scale)
                for optimizer in optimizers:
                    scaler.step(optimizer)
                scaler.update()
                for scheduler in schedulers:
                    scheduler.step()
                scale, before = scaler.get_scale(), scale
                means.add(terms.losses, weights, counted=scale >= before)  # it falls where no step was taken
                bar.update()
            means.close_epoch(history)
            if checkpoint:
                history.seconds = time.perf_counter() - started
                checkpoint.save(of, epochs=epoch + 1, history=history.to_dict())
    model.eval()
    history.seconds = time.perf_counter() - started
    return history


def _bar(steps: int, title: str) -> tqdm:
    return tqdm(total=steps, desc=title, leave=False, disable=not is_watched())


def _optimizers(
    parameters: list[Tensor], settings: TrainingSettings, steps: int
) -> tuple[list[torch.optim.Optimizer], list[torch.optim.lr_scheduler.LRScheduler]]:
    """What trains these parameters, each with its schedule."""
    rate, decay = settings.learning_rate, settings.weight_decay
    kernels = [parameter for parameter in parameters if parameter.ndim == 4]
    others = [parameter for parameter in parameters if parameter.ndim != 4]
    if settings.optimizer == "sgd":
        # Where a scaler skips the first step, a fused one takes memory that nothing was written to for its momentum.
        fused = training_dtype(parameters[0].device) != torch.float16
        optimizers = [
            torch.optim.SGD(parameters, rate, momentum=settings.momentum, weight_decay=decay, fused=fused)
        ]
    elif settings.optimizer == "muon" and kernels:
        optimizers = [Muon(kernels, settings.muon_rate, settings.muon_momentum)]
        if others:
            optimizers.append(torch.optim.AdamW(others, rate, weight_decay=decay, fused=True))
    else:
        kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
        optimizers = [kind(parameters, rate, weight_decay=decay, fused=True)]
    return optimizers, [_schedule(optimizer, settings, steps) for optimizer in optimizers]


def _schedule(
    optimizer: torch.optim.Optimizer, settings: TrainingSettings, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    schedulers = torch.optim.lr_scheduler
    total = settings.epochs * steps
    if settings.schedule == "one-cycle":
        # The cycle needs some steps to rise in, and one more than are taken: a scaler may skip its first.
        rate = optimizer.defaults["lr"]
        low, high = CYCLED
        return schedulers.OneCycleLR(
            optimizer,
            rate,
            total_steps=max(total + 1, SHORTEST_CYCLE),
            pct_start=0.25,
            base_momentum=low,
            max_momentum=high,
        )
    if settings.schedule == "linear":
        rise = max(1, total // 10)
        return schedulers.LambdaLR(
            optimizer, lambda step: min((step + 1) / rise, max(0.0, total - step) / max(1, total - rise))
        )
    factor = settings.step_factor if settings.schedule == "step" else 1.0
    return schedulers.StepLR(optimizer, settings.step_epochs * steps, factor)


class _Means:
    """Running sums of an epoch, kept on the device so that no step waits for them."""

    def __init__(self) -> None:
        self.losses: dict[str, Tensor] = {}
        self.weights: dict[str, float] = {}
        self.steps: Counter[str] = Counter()  # in which a loss was
        self.weighed: Counter[str] = Counter()

    def add(self, losses: dict[str, Tensor], weights: dict[str, float], counted: bool) -> None:
        """One more step; its weights are counted unless its gradients overflowed, which makes them no numbers."""
        self.steps.update(losses.keys())
        self.weighed.update(weights.keys() if counted else ())
        for name, loss in losses.items():
            self.losses[name] = self.losses.get(name, 0.0) + loss.detach()
        for name, weight in weights.items():
            self.weights[name] = self.weights.get(name, 0.0) + (weight if counted else 0.0)

    def close_epoch(self, history: History) -> None:
        for name, total in self.losses.items():
            mean = float(total) / self.steps[name]
            if not mean == mean or mean in (float("inf"), float("-inf")):
                raise FloatingPointError(
                    f"the {name} loss became {mean}; lower the learning rate or the weight of that loss"
                )
            history.losses.setdefault(name, []).append(round(mean, 5))
        for name, total in self.weights.items():
            history.weights.setdefault(name, []).append(
                round(total / self.weighed[name] if self.weighed[name] else math.nan, 5)
            )
