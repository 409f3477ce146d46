"""Pruning: which weights go, counted and by an independent sort; what is cut stays cut."""

import pytest
import torch

import mea_lib as mea
from mea_lib.removal import Prune
from mea_lib.removal.prune import largest_within, prunable_layers, pruned_share
from mea_lib.training import TrainingSettings

SMOKE = mea.preset("smoke").adversary_but(batch_size=64)


def weights_of(model):
    return [layer.weight.detach() for layer in prunable_layers(model)]


@pytest.mark.parametrize("network", ["nine_layer_cnn", "vgg_like", "alexnet", "resnet18"])
@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_smallest_weights_go_and_the_others_stay_as_they_are(make_tiny, network, scope, share):
    model = make_tiny(network)
    cut = Prune(share=share, scope=scope).remove(model, None, SMOKE)
    pairs = list(zip(weights_of(model), weights_of(cut), strict=True))
    everything = torch.cat([before.flatten().abs() for before, _ in pairs])
    for before, after in pairs:
        among = everything if scope == "global" else before.flatten().abs()
        threshold = among.sort().values[round(share * len(among)) - 1]
        kept = before.abs() > threshold
        assert torch.equal(after, before * kept)
    assert pruned_share(cut) == pytest.approx(share, abs=0.01)
    assert cut.state_dict().keys() == model.state_dict().keys()  # permanent: no mask is left


@pytest.mark.parametrize("scope", ["global", "layer"])
def test_what_was_cut_stays_zero_through_fine_tuning_and_the_rest_moves(tiny, digits, scope):
    method = Prune(epochs=2, learning_rate=5e-3, share=0.6, scope=scope)
    cut, tuned = (method.remove(tiny, images, SMOKE) for images in (None, digits.owner))
    assert pruned_share(tuned) == pruned_share(cut) == pytest.approx(0.6, abs=0.01)
    for before, after in zip(weights_of(cut), weights_of(tuned), strict=True):
        assert torch.equal(before == 0, after == 0)
        assert ((before != after) | (before == 0)).float().mean() > 0.99


def test_queries_are_labelled_before_the_model_is_cut(victim, digits, tuned_by):
    """At a share that leaves no accuracy only the labels of the whole model can bring it back."""
    scale = tuned_by(TrainingSettings(6, 64, 5e-3, augment=False))
    tuned = Prune(share=0.8).remove(victim, digits.queries, scale)
    ours, theirs = (mea.Oracle(model)(digits.test.images).argmax(1) for model in (tuned, victim))
    assert (ours == theirs).float().mean() > 0.75


def test_nothing_cut_is_the_same_model(victim, digits):
    same = Prune(share=0.0).remove(victim, None, SMOKE)
    torch.testing.assert_close(same(digits.test.images[:20]), victim(digits.test.images[:20]))


def test_the_accuracy_falls_with_the_share(victim, accuracy):
    curve = {share: accuracy(Prune(share=share).remove(victim, None, SMOKE)) for share in (0.0, 0.3, 0.98)}
    assert curve[0.0] == accuracy(victim)
    assert curve[0.98] < curve[0.0] - 0.3
    assert largest_within(curve, 100) == 0.98
    assert largest_within(curve, 30) < 0.98


def test_the_largest_share_within_so_many_points():
    curve = {0.0: 0.80, 0.2: 0.81, 0.4: 0.75, 0.6: 0.74, 0.8: 0.30}
    assert largest_within(curve, 5) == 0.4
    assert largest_within(curve, 4.9) == 0.2
    assert largest_within(curve, 6) == 0.6
    assert largest_within(curve, 0) == 0.2
    assert largest_within({0: 0.9}, 5) == 0
    assert largest_within({0: 0.90, 0.5: 0.83}, 7) == 0.5  # though .90 − .07 exceeds .83 in floats
    with pytest.raises(ValueError, match="accuracy at share 0"):
        largest_within({0.2: 0.8}, 5)


def test_impossible_settings_are_refused():
    for share in (-0.1, 1.0):
        with pytest.raises(ValueError, match="share"):
            Prune(share=share)
    with pytest.raises(ValueError, match="global, layer"):
        Prune(scope="channel")
