"""Training on the labels alone, from scratch or on from a model."""

import torch

import mea_lib as mea

TINY = mea.preset("smoke").but(width=2).owner_but(batch_size=64)


def test_training_goes_on_from_a_pretrained_model(digits):
    few = digits.owner.subset(128)
    start = mea.train_clean(few, TINY)
    standing_still = TINY.owner_but(learning_rate=0.0, muon_rate=0.0)
    same, fresh = (mea.train_clean(few, standing_still, seed=1, pretrained=model) for model in (start, None))
    assert torch.equal(same.head.weight, start.head.weight)
    assert not torch.equal(fresh.head.weight, start.head.weight)
    assert same.card["recipe"]["initial"] == start.card["weights_sha256"]
