"""A second extraction: the same adversary as anywhere, of the model's own network unless another is named."""

import pytest

import mea_lib as mea
from mea_lib.extraction import distillation
from mea_lib.extraction.distillation import DistillationSettings
from mea_lib.removal.changed_copy import weights_digest
from mea_lib.removal.redistil import remove
from mea_lib.training import TrainingSettings

SMOKE = mea.preset("smoke")
TRAINING = TrainingSettings(12, 64, 5e-3, augment=False)


def test_it_is_an_extraction_by_distillation(make_tiny, digits, store):
    model = make_tiny("vgg_like", width=3)
    short = TrainingSettings(1, 64)
    settings = DistillationSettings(temperature=2)
    options = {"settings": settings, "training": short, "seed": 4, "store": store}
    student = remove(model, digits.queries, SMOKE, **options)
    network = {"network": "vgg_like", "width": 3}
    thief = distillation.extract(mea.Oracle(model), digits.queries, SMOKE, **options, **network)
    assert weights_digest(student) == weights_digest(thief)
    assert student.card["history"] == thief.card["history"]
    other = remove(model, digits.queries, SMOKE, **options, network="alexnet", width=2)
    assert (other.spec["network"], other.spec["width"]) == ("alexnet", 2)


def test_the_student_agrees_with_the_model_and_an_ordinary_mark_is_gone(victim, digits, mark, shared_store):
    student = remove(victim, digits.queries, SMOKE, training=TRAINING, store=shared_store)
    ours, theirs = (mea.Oracle(model)(digits.test.images).argmax(1) for model in (student, victim))
    assert (ours == theirs).float().mean() > 0.75
    assert mark(student) < mark(victim) / 2


def test_a_student_in_the_store_is_found_without_a_question(make_tiny, digits, store, monkeypatch):
    asked = []
    ask = mea.Oracle.__call__
    monkeypatch.setattr(
        mea.Oracle, "__call__", lambda api, images: asked.append(len(images)) or ask(api, images)
    )
    options = {"training": TrainingSettings(1, 64), "store": store}
    first = remove(make_tiny(), digits.queries, SMOKE, **options)
    assert asked == [len(digits.queries)]
    second = remove(make_tiny(), digits.queries, SMOKE, **options)
    assert asked == [len(digits.queries)]
    assert weights_digest(first) == weights_digest(second)
    remove(make_tiny(seed=1), digits.queries, SMOKE, **options)
    assert len(asked) == 2


def test_images_of_another_shape_are_refused_before_any_question(make_tiny, digits, store):
    with pytest.raises(ValueError, match="as_images_of"):
        remove(make_tiny(), digits.queries[:, :, :8, :8], SMOKE, store=store)
    assert not store.cards()
