"""What holds of every detector: settings that do not change, one of three results, the same for the same seed."""

from dataclasses import FrozenInstanceError, fields, is_dataclass

import pytest

import mea_lib as mea
from mea_lib import detection
from mea_lib.detection import (
    ABS,
    STRIP,
    KeySearch,
    LocalOutlierFactor,
    NeuralCleanse,
    RandomMixing,
    RunnerUps,
)

METHODS = {
    ABS(steps=2, candidates=3, reverse_images=4): ("labelled",),
    KeySearch(samples=2): ("images", "classes"),
    LocalOutlierFactor(): ("images", "samples", "test"),
    NeuralCleanse(rounds=2, batches=1): ("images",),
    RandomMixing(samples=2): ("labelled",),
    RunnerUps(): ("images", "classes"),
    STRIP(overlays=3): ("images", "samples", "test"),
}
OF_WEIGHTS = (ABS, LocalOutlierFactor, NeuralCleanse, STRIP)
SHAPES = (detection.Ranking, detection.ReversedTriggers, detection.Screening)


def test_every_detector_of_the_room_is_here():
    kinds = [kind for kind in vars(detection).values() if isinstance(kind, type)]
    detectors = {
        kind for kind in kinds if issubclass(kind, detection.Detector) and kind is not detection.Detector
    }
    assert detectors == {*map(type, METHODS)}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_a_detector_finds_one_of_three_things_and_leaves_the_model_alone(method, clean, digits):
    given = {
        "images": digits.queries[:100],
        "labelled": digits.test.subset(200),
        "classes": digits.test.classes,
        "samples": digits.test.images[:10],
        "test": digits.test.subset(20),
    }
    before = {name: value.clone() for name, value in clean.state_dict().items()}
    suspect = clean if isinstance(method, OF_WEIGHTS) else mea.Oracle(clean)
    seed = {} if isinstance(method, RunnerUps) else {"seed": 3}
    first, again = (
        method.detect(suspect, *(given[name] for name in METHODS[method]), **seed) for _ in range(2)
    )
    assert isinstance(first, SHAPES)
    assert first.to_dict() == again.to_dict()
    assert all(value.equal(before[name]) for name, value in clean.state_dict().items())


@pytest.mark.parametrize("method", METHODS, ids=lambda method: type(method).__name__)
def test_settings_are_fields_that_do_not_change(method):
    assert is_dataclass(method)
    assert fields(method)
    with pytest.raises(FrozenInstanceError):
        setattr(method, fields(method)[0].name, 1)
