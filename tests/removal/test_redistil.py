"""Stealing the stolen: the same thief as anywhere, of the model's own network unless another is named."""

import mea_lib as mea
from mea_lib.extraction import distillation
from mea_lib.extraction.distillation import DistillationSettings
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
    assert student.card["id"] == thief.card["id"]
    other = remove(model, digits.queries, SMOKE, **options, network="alexnet", width=2)
    assert (other.spec["network"], other.spec["width"]) == ("alexnet", 2)


def test_the_student_agrees_with_the_model_and_an_ordinary_mark_is_gone(victim, digits, mark, shared_store):
    student = remove(victim, digits.queries, SMOKE, training=TRAINING, store=shared_store)
    ours, theirs = (mea.Oracle(model)(digits.test.images).argmax(1) for model in (student, victim))
    assert (ours == theirs).float().mean() > 0.75
    assert mark(student) < mark(victim) / 2
