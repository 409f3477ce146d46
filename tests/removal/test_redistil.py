"""A second extraction: the same adversary as anywhere."""

import pytest

import mea_lib as mea
from mea_lib.extraction import Distillation
from mea_lib.removal import Redistil
from mea_lib.removal.base import weights_digest
from mea_lib.training import TrainingSettings

SMOKE = mea.preset("smoke")
LONGER = SMOKE.but(adversary=TrainingSettings(12, 64, 5e-3, augment=False))


@pytest.mark.parametrize("network", [("vgg_like", 3), ("alexnet", 2)])
def test_it_is_an_extraction_by_distillation_into_the_scales_network(make_tiny, digits, network):
    model, scale = make_tiny("vgg_like", width=3), SMOKE.but(network=network[0], width=network[1])
    distillation = Distillation(temperature=2)
    again = Redistil(distillation).remove(model, digits.queries, scale, seed=4)
    surrogate = distillation.extract(mea.Oracle(model), digits.queries, scale, seed=4)
    assert (again.spec["network"], again.spec["width"]) == network
    assert weights_digest(again) == weights_digest(surrogate)
    assert again.card["history"] == surrogate.card["history"]


def test_the_surrogate_agrees_with_the_model_and_an_ordinary_watermark_is_gone(victim, digits, wsr):
    surrogate = Redistil().remove(victim, digits.queries, LONGER)
    ours, theirs = (mea.Oracle(model)(digits.test.images).argmax(1) for model in (surrogate, victim))
    assert (ours == theirs).float().mean() > 0.75
    assert wsr(surrogate) < wsr(victim) / 2


def test_a_surrogate_in_the_store_is_found_without_a_query(make_tiny, digits, monkeypatch):
    asked = []
    ask = mea.Oracle.__call__
    monkeypatch.setattr(
        mea.Oracle, "__call__", lambda api, images: asked.append(len(images)) or ask(api, images)
    )
    first = Redistil().remove(make_tiny(), digits.queries, SMOKE)
    assert asked == [len(digits.queries)]
    second = Redistil().remove(make_tiny(), digits.queries, SMOKE)
    assert asked == [len(digits.queries)]
    assert weights_digest(first) == weights_digest(second)
    Redistil().remove(make_tiny(seed=1), digits.queries, SMOKE)
    assert len(asked) == 2


def test_images_of_another_shape_are_refused_before_any_query(make_tiny, digits, store):
    with pytest.raises(ValueError, match="as_images_of"):
        Redistil().remove(make_tiny(), digits.queries[:, :, :8, :8], SMOKE)
    assert not store.cards()
