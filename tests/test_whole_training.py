"""The benchmark of whole trainings trains, measures and compares."""

import pytest
import torch

from benchmarks import training_step, whole_training


def test_both_trainings_and_all_ways_are_compared(digits, monkeypatch):
    monkeypatch.setattr(whole_training.mea, "load", lambda name, scale: digits)
    ways = {
        name: lambda: torch.ones(200, 200) @ torch.ones(200, 200) for name in ("ours", "adamw", "released")
    }
    monkeypatch.setattr(training_step, "ways", lambda train: ways)
    found = whole_training.measure("digits", "smoke", steps=5, rounds=2)
    ours, adamw = found["trainings"]["ours"], found["trainings"]["adamw"]
    assert adamw["images"] == len(digits.owner) + len(digits.adversary)
    assert (ours["images"], ours["epochs"], adamw["epochs"]) == (len(digits.owner), 1, 4)
    assert 0 <= ours["accuracy"] <= 1
    assert set(found["times_as_long_as_ours"]) == {"adamw"}
    assert set(found["watermarked_times_as_long_as_ours"]) == {"adamw", "released"}


@pytest.mark.parametrize("way", [training_step.ours, training_step.adamw])
def test_a_step_in_the_loop_moves_every_kernel(digits, monkeypatch, way):
    monkeypatch.setattr(training_step, "KEY", training_step.mea.WatermarkKey(("3", "7"), "1", seed=7))
    made = []
    network = training_step.build

    def build(*arguments, **options):
        made.append(network(*arguments, **options | {"width": 2}))
        return made[-1]

    monkeypatch.setattr(training_step, "build", build)
    step = way(digits.owner)
    before = [parameter.detach().clone() for parameter in made[0].parameters() if parameter.ndim == 4]
    step()
    after = [parameter for parameter in made[0].parameters() if parameter.ndim == 4]
    assert not any(torch.equal(old, new) for old, new in zip(before, after, strict=True))
