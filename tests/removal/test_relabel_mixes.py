"""Relabelled mixes: what is mixed can be read off images of one grey each."""

import pytest
import torch
from torch.nn import functional as F

import mea_lib as mea
from mea_lib import proof
from mea_lib.removal.relabel_mixes import (
    RelabelMixesSettings,
    relabel_mixes_objective,
    relabelled_mixes,
    remove,
)
from mea_lib.training import Batch, TrainingSettings
from mea_lib.watermarks import composite

SMOKE = mea.preset("smoke")


def test_mixes_are_of_two_classes_and_get_a_third_class(greys):
    mixes, labels = relabelled_mixes(greys, 600, torch.Generator().manual_seed(0), ("left-right",))
    left, right = mixes[:, 0, 0, 0].long() // 40, mixes[:, 0, 0, -1].long() // 40
    assert (left != right).all()
    assert (labels != left).all()
    assert (labels != right).all()
    assert set(left.tolist()) == set(right.tolist()) == {0, 1, 2, 3, 5}
    counts = torch.bincount(labels, minlength=6)
    assert counts.min() > 50  # each is one of 4 for most pairs; class 4, of no image, is never ruled out
    assert counts.argmax() == 4


def test_every_way_mixes_as_many(greys):
    ways = ("left-right", "top-bottom", "pixel-merge")
    mixes, _ = relabelled_mixes(greys, 90, torch.Generator().manual_seed(0), ways)
    flat = (mixes == mixes[:, :, :1, :1]).flatten(1).all(1)
    columns_differ = mixes[:, 0, 0, 0] != mixes[:, 0, 0, -1]
    rows_differ = mixes[:, 0, 0, 0] != mixes[:, 0, -1, 0]
    assert (columns_differ.sum(), rows_differ.sum(), flat.sum()) == (30, 30, 30)


def test_the_loss_is_one_mean_over_clean_images_and_mixes(tiny, digits):
    settings = RelabelMixesSettings(share=0.25, ways=("right-left",))
    index = torch.arange(8)
    batch = Batch(digits.owner.images[index], index, torch.Generator().manual_seed(4), 0.0)
    loss = relabel_mixes_objective(digits.owner, settings)(tiny, batch).losses["utility"]
    mixes, wrong = relabelled_mixes(digits.owner, 2, torch.Generator().manual_seed(4), settings.ways)
    images = torch.cat([batch.images, mixes])
    labels = torch.cat([digits.owner.labels[:8], wrong])
    torch.testing.assert_close(loss, F.cross_entropy(tiny(images), labels))


def test_a_small_share_of_a_small_batch_is_one_mix(tiny, digits):
    index = torch.arange(8)
    batch = Batch(digits.owner.images[index], index, torch.Generator().manual_seed(4), 0.0)
    loss = relabel_mixes_objective(digits.owner, RelabelMixesSettings(share=0.01))(tiny, batch).losses[
        "utility"
    ]
    plain = F.cross_entropy(tiny(batch.images), digits.owner.labels[:8])
    assert not torch.isclose(loss, plain)


def test_a_composite_mark_is_removed(digits, key, shared_store, accuracy):
    training = TrainingSettings(15, 64, 5e-3, augment=False)
    victim = composite.embed(digits.owner, key, SMOKE, training=training, store=shared_store)
    strong = training.but(epochs=10, learning_rate=1e-2)
    settings = RelabelMixesSettings(share=1.0)
    freed = remove(victim, digits.owner, SMOKE, settings=settings, training=strong, store=shared_store)
    before, after = (
        proof.watermark_success_rate(mea.Oracle(model), key, digits.test, 300).value
        for model in (victim, freed)
    )
    assert before > 0.7
    assert after < before / 2
    assert accuracy(freed) > 0.75


def test_what_cannot_be_mixed_is_refused(greys):
    with pytest.raises(ValueError, match="share must be above 0"):
        RelabelMixesSettings(share=0)
    for ways in ((), ("diagonal",)):
        with pytest.raises(ValueError, match="some of left-right"):
            RelabelMixesSettings(ways=ways)
    alone = greys.subset(greys.places("a"))
    with pytest.raises(ValueError, match="images of 1 of 6 classes"):
        relabelled_mixes(alone, 5, torch.Generator(), ("left-right",))
