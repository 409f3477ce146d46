"""The benchmark of Neural Cleanse compares like with like."""

import torch

from benchmarks import neural_cleanse_step
from mea_lib.detection import NeuralCleanse
from mea_lib.detection.triggers import frozen


def test_both_ways_move_every_trigger_alike(tiny, digits, monkeypatch):
    monkeypatch.setattr(neural_cleanse_step, "precision", lambda device: torch.autocast("cpu", enabled=False))
    monkeypatch.setattr("mea_lib.detection.neural_cleanse.precision", neural_cleanse_step.precision)
    images = digits.owner.images[:8]
    with frozen(tiny) as fixed:
        step, together = neural_cleanse_step.together(fixed, images)
        other_step, in_turn = neural_cleanse_step.in_turn(fixed, images)
        before = [part.detach().clone() for part in together()]
        for _ in range(2):
            step()
            other_step()
    for number in range(2):  # masks, then patterns
        found = torch.cat([own()[number] for own in in_turn])
        assert (together()[number] - before[number]).abs().max() > 0.05
        torch.testing.assert_close(together()[number], found, atol=1e-3, rtol=0)


def test_the_measurement_has_its_ratio_and_its_whole_search(digits, monkeypatch):
    monkeypatch.setattr(neural_cleanse_step.mea, "load", lambda name, scale: digits)
    searched = []
    monkeypatch.setattr(
        NeuralCleanse, "detect", lambda method, model, images: searched.append((len(images), method.rounds))
    )
    found = neural_cleanse_step.measure(steps=1, rounds=2)
    assert searched == [(len(digits.test.images[:500]), 150)]
    ratio = found["in_turn_times_as_long_as_together"]
    assert ratio["least"] <= ratio["median"] <= ratio["largest"]
    assert found["milliseconds_per_step_and_core"].keys() == {"together", "in turn"}
    assert torch.get_num_threads() == 1
