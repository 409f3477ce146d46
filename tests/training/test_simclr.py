"""SimCLR: it learns without labels, it repeats, what decides the outcome is in the recipe."""

from dataclasses import replace

import pytest
import torch

import mea_lib as mea
from mea_lib.losses import nt_xent_loss
from mea_lib.models.encoder import build_encoder
from mea_lib.training import (
    GREY_28,
    RGB_32,
    Batch,
    SimCLRSettings,
    TrainingSettings,
    encoder_training,
    features_of,
    simclr_objective,
    train_encoder,
    two_views,
)
from mea_lib.training.views import default_views

SMOKE = mea.preset("smoke")
TRAINING = TrainingSettings(3, 128, 5e-3, augment=False)
LONGER = TRAINING.but(epochs=5)


def state(encoder):
    return torch.cat([value.flatten() for value in encoder.state_dict().values()])


def untrained(digits):
    data = digits.owner
    return build_encoder("nine_layer_cnn", channels=1, size=16, width=4, mean=data.mean, std=data.std)


def nearer_than_others(encoder, images):
    """Share of all other images' views that an image is farther from than from its own other view."""
    first, second = two_views(images, GREY_28, torch.Generator().manual_seed(9))
    first, second = (torch.nn.functional.normalize(encoder(part), dim=1) for part in (first, second))
    likeness = first @ second.T
    return (likeness <= likeness.diagonal()[:, None]).float().mean().item()


def test_it_learns_to_find_the_other_view(digits, store):
    encoder = train_encoder(digits.owner, SMOKE, training=LONGER, store=store)
    losses = encoder.card["history"]["losses"]["utility"]
    assert len(losses) == 5
    assert losses[-1] < losses[0] - 0.1
    before, after = (
        nearer_than_others(model.eval(), digits.test.images) for model in (untrained(digits), encoder)
    )
    assert after > before + 0.08


def test_the_objective_is_nt_xent_of_two_views_drawn_from_the_steps_generator(digits):
    encoder = untrained(digits).eval()
    batch = Batch(digits.owner.images[:32], torch.arange(32), torch.Generator().manual_seed(5), 0.0)
    terms = simclr_objective(GREY_28, 0.2)(encoder, batch)
    views = two_views(digits.owner.images[:32], GREY_28, torch.Generator().manual_seed(5))
    first, second = (encoder(part) for part in views)
    expected = nt_xent_loss(encoder.project(first), encoder.project(second), 0.2)
    torch.testing.assert_close(terms.losses["utility"], expected)
    torch.testing.assert_close(terms.features, torch.cat([first, second]))


def test_the_same_seed_gives_the_same_encoder_and_labels_play_no_part(digits, tmp_path):
    from mea_lib.training import Store

    relabelled = replace(digits.owner, labels=digits.owner.labels.flip(0))
    runs = [(digits.owner, 1), (relabelled, 1), (digits.owner, 2)]
    first, second, other = (
        state(train_encoder(data, SMOKE, seed=seed, store=Store(tmp_path / str(number))))
        for number, (data, seed) in enumerate(runs)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_it_is_found_again_and_every_setting_makes_another(digits, store):
    few = digits.owner.subset(200)
    quick = TrainingSettings(1, 100, augment=False)
    first = train_encoder(few, SMOKE, training=quick, store=store)
    again = train_encoder(few, SMOKE, training=quick, store=store)
    assert again.card == first.card
    assert first.card["recipe"]["settings"]["augment"] is False
    for change in (
        {"settings": SimCLRSettings(temperature=0.1)},
        {"settings": SimCLRSettings(views=replace(GREY_28, mirror=0.0))},
        {"settings": SimCLRSettings(projection=(16, 8))},
        {"training": quick.but(learning_rate=1e-3)},
        {"width": 2},
        {"features": 10},
        {"network": "resnet18", "width": 1},
        {"seed": 1},
    ):
        other = train_encoder(few, SMOKE, **({"training": quick} | change), store=store)
        assert other.card["id"] != first.card["id"], change
    assert len(store.cards()) == 9


def test_measures_after_each_epoch_are_kept(digits, store):
    few = digits.owner.subset(200)
    encoder = train_encoder(
        few,
        SMOKE,
        training=TrainingSettings(2, 100, augment=False),
        after_epoch=lambda model, epoch: {"epoch": epoch, "size": model.size},
        store=store,
    )
    assert encoder.card["history"]["measures"] == [{"epoch": 0, "size": 16}, {"epoch": 1, "size": 16}]


def test_every_scale_trains_without_the_loops_own_augmentation():
    for name in mea.SCALES:
        scale = mea.preset(name)
        training = encoder_training(scale, seed=3)
        assert (training.epochs, training.augment, training.seed) == (scale.encoder_epochs, False, 3)


def test_encoders_learn_by_muon_at_every_scale_but_the_papers():
    assert {name: encoder_training(mea.preset(name)).optimizer for name in mea.SCALES} == {
        "smoke": "muon",
        "laptop": "muon",
        "colab": "muon",
        "paper": "adamw",
    }


def test_views_by_the_number_of_channels():
    assert default_views(1) == GREY_28
    assert default_views(3) == RGB_32


@pytest.mark.parametrize("training", [True, False])
def test_features_come_in_evaluation_mode_and_leave_the_mode_alone(digits, training):
    encoder = untrained(digits).train(training)
    images = digits.test.images[:70]
    found = features_of(encoder, images, batch_size=32)
    assert encoder.training == training
    assert not found.requires_grad
    torch.testing.assert_close(found, encoder.eval()(images))
