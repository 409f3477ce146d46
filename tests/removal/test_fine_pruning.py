"""Fine-pruning: the dormant channels by a slow count, silent before and after the fine-tuning."""

import pytest
import torch

import mea_lib as mea
from mea_lib.removal import FinePruning
from mea_lib.removal.fine_pruning import last_convolution, mean_activations
from mea_lib.training import TrainingSettings

SCALE = mea.preset("smoke").adversary_but(batch_size=64)
SHORT = {"epochs": 2, "learning_rate": 5e-3}


def test_activations_are_means_over_images_and_places(tiny, digits):
    images = digits.owner.images[:300]  # more than one batch
    pixels = ((images.float() / 255) - tiny.mean) / tiny.std
    maps = tiny.body[:-2](pixels)  # up to the pooling: (N, channels, H, W)
    expected = torch.stack([maps[:, channel].mean() for channel in range(maps.shape[1])])
    torch.testing.assert_close(mean_activations(tiny, images), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "network", ["nine_layer_cnn", "vgg_like", "alexnet", "resnet18", "resnet50", "vggface"]
)
def test_the_most_dormant_channels_are_silent_even_after_fine_tuning(make_tiny, digits, network):
    model = make_tiny(network)
    images = digits.owner.subset(200)
    pruned = FinePruning(**SHORT, share=0.5).remove(model, images, SCALE)
    before, after = (mean_activations(each, images.images) for each in (model, pruned))
    silent = (last_convolution(pruned)[0].weight == 0).flatten(1).all(1)
    assert silent.sum() == len(before) // 2
    assert before[silent].max() <= before[~silent].min()
    assert (after[silent] == 0).all()
    assert pruned.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("network", ["nine_layer_cnn", "vgg_like", "alexnet", "resnet18"])
def test_the_last_convolution_is_the_one_whose_maps_the_features_come_from(make_tiny, network):
    layers = last_convolution(make_tiny(network))
    convolutions = [
        layer for layer in make_tiny(network).body.modules() if isinstance(layer, torch.nn.Conv2d)
    ]
    assert layers[0].weight.shape == convolutions[-1].weight.shape
    assert len(layers) == (1 if network == "alexnet" else 2)
    if len(layers) == 2:
        assert layers[1].num_features == layers[0].out_channels


def test_one_channel_is_always_left(tiny, digits):
    pruned = FinePruning(**SHORT, share=0.99).remove(tiny, digits.owner.subset(64), SCALE)
    assert (last_convolution(pruned)[0].weight != 0).flatten(1).any(1).sum() == 1


def test_the_accuracy_is_kept(victim, digits, accuracy, tuned_by):
    scale = tuned_by(TrainingSettings(6, 64, 5e-3, augment=False))
    pruned = FinePruning(share=0.5).remove(victim, digits.owner, scale)
    assert accuracy(pruned) > accuracy(victim) - 0.15


def test_impossible_settings_are_refused():
    for share in (-0.1, 1.0):
        with pytest.raises(ValueError, match="share"):
            FinePruning(share=share)
