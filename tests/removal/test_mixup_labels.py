"""MixUp-labelled fine-tuning: what is mixed and what it is called can be read off images of one grey each."""

import pytest
import torch
from torch.nn import functional as F

import mea_lib as mea
from mea_lib import proof
from mea_lib.removal import MixUpLabels
from mea_lib.removal.mixup_labels import pairs_to_mix
from mea_lib.removal.own_images import own_images
from mea_lib.training import Batch, TrainingSettings


def labelled(data, pairs, number, seed=0, **settings):
    """So many mixes and their labels."""
    return MixUpLabels(**settings).labelled(data, pairs, number, torch.Generator().manual_seed(seed))


def test_a_mix_is_called_one_half_each_of_what_it_shows(greys):
    pairs = pairs_to_mix(greys, None)
    mixes, targets = labelled(greys, pairs, 400, ways=("left-right",))
    left, right = mixes[:, 0, 0, 0].long() // 40, mixes[:, 0, 0, -1].long() // 40
    assert (left != right).all()
    assert torch.equal(targets, (F.one_hot(left, 6) + F.one_hot(right, 6)) / 2)
    orders = {(a, b) for a, b in zip(left.tolist(), right.tolist(), strict=True)}
    assert len(orders) == 20  # all ten pairs of five classes, both orders of each


def test_only_the_wanted_pairs_are_mixed_by_name_or_number(greys):
    by_name, by_number = (pairs_to_mix(greys, pairs) for pairs in ((("b", "f"),), ((1, 5),)))
    assert by_name.tolist() == by_number.tolist() == [[1, 5]]
    mixes, _ = labelled(greys, by_name, 50, ways=("right-left",))
    shown = {(m[0, 0, 0].item() // 40, m[0, 0, -1].item() // 40) for m in mixes}
    assert shown == {(1, 5), (5, 1)}


def test_every_way_mixes_as_many(greys):
    ways = ("left-right", "top-bottom", "pixel-merge")
    mixes, _ = labelled(greys, pairs_to_mix(greys, None), 90, ways=ways)
    flat = (mixes == mixes[:, :, :1, :1]).flatten(1).all(1)
    columns_differ = mixes[:, 0, 0, 0] != mixes[:, 0, 0, -1]
    rows_differ = mixes[:, 0, 0, 0] != mixes[:, 0, -1, 0]
    assert (columns_differ.sum(), rows_differ.sum(), flat.sum()) == (30, 30, 30)


def test_the_loss_is_one_mean_over_clean_images_and_mixes(tiny, digits):
    method = MixUpLabels(share=0.25, ways=("right-left",), pairs=(("3", "7"),))
    index = torch.arange(8)
    batch = Batch(digits.owner.images[index], index, torch.Generator().manual_seed(4), 0.0)
    objective = method.objective(tiny, own_images(digits.owner, tiny))
    loss = objective(tiny, batch).losses["utility"]
    mixes, _ = labelled(digits.owner, torch.tensor([[3, 7]]), 2, seed=4, ways=method.ways)
    log = tiny(torch.cat([batch.images, mixes])).log_softmax(1)
    of_clean = -log[torch.arange(8), digits.owner.labels[:8]]
    of_mixes = -(log[8:, 3] + log[8:, 7]) / 2
    torch.testing.assert_close(loss, torch.cat([of_clean, of_mixes]).mean())


@pytest.mark.parametrize("pairs", [None, (("3", "7"),), ((3, 7),)])
def test_a_composite_watermark_is_removed(digits, composite_victim, key, accuracy, tuned_by, pairs):
    scale = tuned_by(TrainingSettings(10, 64, 5e-3, augment=False))
    freed = MixUpLabels(share=1.0, pairs=pairs).remove(composite_victim, digits.queries, scale)
    before, after = (
        proof.watermark_success_rate(mea.Oracle(model), key, digits.test, 300).value
        for model in (composite_victim, freed)
    )
    assert before > 0.7
    assert after < before / 3
    assert accuracy(freed) > accuracy(composite_victim) - 0.05


def test_what_cannot_be_mixed_is_refused(greys):
    with pytest.raises(ValueError, match="share must be above 0"):
        MixUpLabels(share=0)
    for ways in ((), ("diagonal",)):
        with pytest.raises(ValueError, match="some of left-right"):
            MixUpLabels(ways=ways)
    for pairs in ((), (("a", "a"),), (("a", "b", "c"),)):
        with pytest.raises(ValueError, match="two different classes"):
            MixUpLabels(pairs=pairs)
    with pytest.raises(ValueError, match="no image of class 'e'"):
        pairs_to_mix(greys, (("a", "e"),))
    with pytest.raises(ValueError, match="unknown class 'z'"):
        pairs_to_mix(greys, (("a", "z"),))
    alone = greys.subset(greys.places("a"))
    with pytest.raises(ValueError, match="has images of 1"):
        pairs_to_mix(alone, None)
