"""Relabelled mixes: what is mixed can be read off images of one grey each."""

import pytest
import torch
from torch.nn import functional as F

import mea_lib as mea
from mea_lib import proof
from mea_lib.removal import RelabelMixes
from mea_lib.removal.own_images import own_images
from mea_lib.training import Batch, TrainingSettings


def relabelled(data, number, seed=0, **settings):
    """So many mixes and their wrong labels."""
    return RelabelMixes(**settings).relabelled(data, number, torch.Generator().manual_seed(seed))


def loss_of(method, model, images, batch):
    return method.objective(model, own_images(images, model))(model, batch).losses["utility"]


def test_mixes_are_of_two_classes_and_get_a_third_class(greys):
    mixes, labels = relabelled(greys, 600, ways=("left-right",))
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
    mixes, _ = relabelled(greys, 90, ways=ways)
    flat = (mixes == mixes[:, :, :1, :1]).flatten(1).all(1)
    columns_differ = mixes[:, 0, 0, 0] != mixes[:, 0, 0, -1]
    rows_differ = mixes[:, 0, 0, 0] != mixes[:, 0, -1, 0]
    assert (columns_differ.sum(), rows_differ.sum(), flat.sum()) == (30, 30, 30)


def test_the_loss_is_one_mean_over_clean_images_and_mixes(tiny, digits):
    method = RelabelMixes(share=0.25, ways=("right-left",))
    index = torch.arange(8)
    batch = Batch(digits.owner.images[index], index, torch.Generator().manual_seed(4), 0.0)
    loss = loss_of(method, tiny, digits.owner, batch)
    mixes, wrong = relabelled(digits.owner, 2, seed=4, ways=method.ways)
    images = torch.cat([batch.images, mixes])
    labels = torch.cat([digits.owner.labels[:8], wrong])
    torch.testing.assert_close(loss, F.cross_entropy(tiny(images), labels))


def test_a_small_share_of_a_small_batch_is_one_mix(tiny, digits):
    index = torch.arange(8)
    batch = Batch(digits.owner.images[index], index, torch.Generator().manual_seed(4), 0.0)
    loss = loss_of(RelabelMixes(share=0.01), tiny, digits.owner, batch)
    plain = F.cross_entropy(tiny(batch.images), digits.owner.labels[:8])
    assert not torch.isclose(loss, plain)


def test_a_composite_watermark_is_removed(digits, composite_victim, key, accuracy, tuned_by):
    strong = tuned_by(TrainingSettings(10, 64, 1e-2, augment=False))
    freed = RelabelMixes(share=1.0).remove(composite_victim, digits.owner, strong)
    before, after = (
        proof.watermark_success_rate(mea.Oracle(model), key, digits.test, 300).value
        for model in (composite_victim, freed)
    )
    assert before > 0.7
    assert after < before / 2
    assert accuracy(freed) > 0.75


def test_what_cannot_be_mixed_is_refused(greys):
    with pytest.raises(ValueError, match="share must be above 0"):
        RelabelMixes(share=0)
    for ways in ((), ("diagonal",)):
        with pytest.raises(ValueError, match="some of left-right"):
            RelabelMixes(ways=ways)
    alone = greys.subset(greys.places("a"))
    with pytest.raises(ValueError, match="images of 1 of 6 classes"):
        relabelled(alone, 5)
