"""A step of Neural Cleanse for ten classes, all in one batch and one class after another, timed in turn.

together: one batch holds every image with the trigger of every class; one forward pass, one optimiser step.
in turn: as the authors' code goes about it, a forward pass and an optimiser of its own for each class.
Both stamp the same 32 images with the same triggers, and move each trigger the same way. The search as a whole takes
as many steps as its settings say, on a network that has learnt nothing, where no class is done early.
"""

import os
import statistics
import time

import torch
from torch import Tensor
from torch.nn import functional as F

import mea_lib as mea
from benchmarks.turns import Step, in_turns
from mea_lib.detection import NeuralCleanse
from mea_lib.detection.neural_cleanse import step_losses
from mea_lib.detection.triggers import Triggers, frozen, precision, stamp_all
from mea_lib.models import ImageClassifier, Input, build

SEARCHED = 500  # clean images of the whole search


def measure(steps: int = 8, rounds: int = 5) -> dict:
    """Seconds of the whole search, and of one class after another by all together: median, least and largest."""
    data = mea.load("fashion-mnist", mea.preset("laptop"))
    train, method = data.owner, NeuralCleanse()
    model = build("nine_layer_cnn", Input.of(train), classes=10, width=16)
    torch.set_num_threads(os.cpu_count() or 1)
    started = time.perf_counter()
    method.detect(model, data.test.images[:SEARCHED])
    whole = time.perf_counter() - started
    torch.set_num_threads(1)
    images = train.images[: method.batch_size]
    with frozen(model) as model:
        ways = {"together": together(model, images)[0], "in turn": in_turn(model, images)[0]}
        seconds = in_turns(ways, steps, rounds)
    ratios = [turn / times for turn, times in zip(seconds["in turn"], seconds["together"], strict=True)]
    return {
        "classes": 10,
        "images_per_class_and_step": len(images),
        "rounds": rounds,
        "steps_per_round": steps,
        "milliseconds_per_step_and_core": {
            name: round(1e3 * statistics.median(times), 1) for name, times in seconds.items()
        },
        "in_turn_times_as_long_as_together": {
            "median": round(statistics.median(ratios), 2),
            "least": round(min(ratios), 2),
            "largest": round(max(ratios), 2),
        },
        "seconds_of_the_whole_search_on_all_cores": round(whole, 1),
    }


def together(model: ImageClassifier, images: Tensor) -> tuple[Step, Triggers]:
    """A step of `NeuralCleanse.detect`, and the triggers that it moves."""
    masks, patterns = first_triggers(images)
    triggers = Triggers(masks, patterns)
    optimizer = _optimizer(triggers)
    everyone, costs = torch.arange(len(masks)), torch.full((len(masks),), NeuralCleanse.initial_cost)

    def step() -> None:
        losses, _ = step_losses(model, images, triggers, everyone, costs)
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()

    return step, triggers


def in_turn(model: ImageClassifier, images: Tensor) -> tuple[Step, list[Triggers]]:
    """The same step, one class after another, and the triggers of each class."""
    masks, patterns = first_triggers(images)
    triggers = [Triggers(*one) for one in zip(masks.split(1), patterns.split(1), strict=True)]
    optimizers = [_optimizer(class_triggers) for class_triggers in triggers]

    def step() -> None:
        for label, (class_triggers, optimizer) in enumerate(zip(triggers, optimizers, strict=True)):
            masks, patterns = class_triggers()
            with precision(images.device):
                logits = model(stamp_all(images, masks, patterns))
            loss = F.cross_entropy(logits, torch.full((len(images),), label))
            optimizer.zero_grad()
            (loss + NeuralCleanse.initial_cost * masks.sum()).backward()
            optimizer.step()

    return step, triggers


def first_triggers(images: Tensor, classes: int = 10) -> tuple[Tensor, Tensor]:
    """Masks (K, 1, H, W) and patterns (K, C, H, W) to start from, always the same."""
    generator = torch.Generator().manual_seed(0)
    channels, *size = images.shape[1:]
    return tuple(torch.rand(classes, planes, *size, generator=generator) for planes in (1, channels))


def _optimizer(triggers: Triggers) -> torch.optim.Adam:
    return torch.optim.Adam(triggers.parameters(), NeuralCleanse.learning_rate, betas=(0.5, 0.9))
