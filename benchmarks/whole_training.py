"""A whole training of a clean model in this package's two recipes, in CPU seconds of one run, each to its accuracy.

ours: Muon, two epochs over the owner's half of the training images, not augmented, as an owner trains at this scale.
adamw: the recipe before, AdamW with one cycle, four epochs over all training images, mirrored and shifted.
The other ways of making a step (`training_step`) are reckoned from the CPU seconds of their steps, as many as the four
epochs have: their loops would take most of an hour and find nothing that a step does not show.
"""

import time

import torch
from torch import Tensor

import mea_lib as mea
from benchmarks import training_step
from benchmarks.turns import in_turns
from mea_lib.data import ImageSet
from mea_lib.models import Input, build
from mea_lib.training import Clean, TrainingSettings, train, training_dtype

ADAMW = TrainingSettings(epochs=4, augment=True)


def measure(dataset: str = "fashion-mnist", scale: str = "laptop", steps: int = 6, rounds: int = 3) -> dict:
    """CPU seconds and accuracy of both trainings, and how many times as long as ours the other ways take.

    Args:
        dataset, scale: of the images; the scale also gives ours its recipe.
        steps, rounds: of the ways whose steps are timed.
    """
    torch.set_num_threads(1)
    owner_scale = mea.preset(scale)
    data = mea.load(dataset, owner_scale)
    everything = _both_halves(data)
    trainings = {
        "ours": _trained(data.owner, owner_scale.owner, owner_scale, data.test),
        "adamw": _trained(everything, ADAMW, owner_scale, data.test),
    }
    our_seconds = trainings["ours"]["cpu_seconds"]
    ratios = {"adamw": trainings["adamw"]["cpu_seconds"] / our_seconds}
    return {
        "precision": str(training_dtype(torch.device("cpu"))),
        "trainings": trainings,
        "times_as_long_as_ours": {name: round(ratio, 2) for name, ratio in ratios.items()},
        "watermarked_times_as_long_as_ours": _by_steps(data, len(everything), owner_scale, steps, rounds),
    }


def _trained(images: ImageSet, settings: TrainingSettings, scale: mea.Scale, test: ImageSet) -> dict:
    model = build(
        scale.network, Input.of(images), classes=len(images.classes), width=scale.width, seed=settings.seed
    )
    started = time.process_time()
    train(model, images.images, Clean().objective(images), settings)
    seconds = time.process_time() - started
    return {
        "images": len(images),
        "epochs": settings.epochs,
        "cpu_seconds": round(seconds, 1),
        "accuracy": round(mea.proof.accuracy(mea.Oracle(model), test), 4),
    }


def _both_halves(data: mea.Data) -> ImageSet:
    """The owner's and the adversary's images as one set, which the recipe before had."""

    def joined(first: Tensor, second: Tensor) -> Tensor:
        return torch.cat([first, second])

    owner, adversary = data.owner, data.adversary
    return ImageSet(
        joined(owner.images, adversary.images),
        joined(owner.labels, adversary.labels),
        owner.classes,
        owner.name,
    )


def _by_steps(data: mea.Data, everything: int, scale: mea.Scale, steps: int, rounds: int) -> dict[str, float]:
    """Whole trainings of a watermarked model, reckoned from the steps that each way needs."""
    seconds = in_turns(training_step.ways(data.owner), steps, rounds)
    needed = {name: ADAMW.epochs * everything // training_step.CLEAN for name in seconds}
    needed["ours"] = scale.owner.epochs * len(data.owner) // training_step.CLEAN
    whole = {name: sum(times) / len(times) * needed[name] for name, times in seconds.items()}
    return {name: round(whole[name] / whole["ours"], 2) for name in whole if name != "ours"}


if __name__ == "__main__":
    import json

    print(json.dumps(measure(), indent=1))
