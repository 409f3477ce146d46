"""SimCLR: it learns without labels, it repeats, what decides the outcome is in the recipe."""

from dataclasses import replace

import pytest
import torch

import mea_lib as mea
from mea_lib.losses import nt_xent_loss
from mea_lib.models import Input
from mea_lib.models.encoder import build_encoder
from mea_lib.training import (
    GREY_28,
    RGB_32,
    Batch,
    SimCLR,
    TrainingSettings,
    features_of,
    train_encoder,
    two_views,
)
from mea_lib.training.views import default_views

SMOKE = mea.preset("smoke")


def state(encoder):
    return torch.cat([value.flatten() for value in encoder.state_dict().values()])


def untrained(digits):
    data = digits.owner
    return build_encoder("nine_layer_cnn", Input.of(data), width=4)


def nearer_than_others(encoder, images):
    """Share of all other images' views that an image is farther from than from its own other view."""
    first, second = two_views(images, GREY_28, torch.Generator().manual_seed(9))
    first, second = (torch.nn.functional.normalize(encoder(part), dim=1) for part in (first, second))
    likeness = first @ second.T
    return (likeness <= likeness.diagonal()[:, None]).float().mean().item()


def test_it_learns_to_find_the_other_view(digits):
    longer = TrainingSettings(5, 128, 5e-3, augment=False)
    encoder = train_encoder(digits.owner, SMOKE.but(encoder=longer))
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
    terms = SimCLR(0.2, views=GREY_28).objective(digits.owner)(encoder, batch)
    views = two_views(digits.owner.images[:32], GREY_28, torch.Generator().manual_seed(5))
    first, second = (encoder(part) for part in views)
    expected = nt_xent_loss(encoder.project(first), encoder.project(second), 0.2)
    torch.testing.assert_close(terms.losses["utility"], expected)
    torch.testing.assert_close(terms.features, torch.cat([first, second]))


def test_the_same_seed_gives_the_same_encoder_and_labels_play_no_part(digits, tmp_path):
    relabelled = replace(digits.owner, labels=digits.owner.labels.flip(0))
    states = []
    for number, (data, seed) in enumerate([(digits.owner, 1), (relabelled, 1), (digits.owner, 2)]):
        with mea.use_store(tmp_path / str(number)):
            states.append(state(train_encoder(data, SMOKE, seed=seed)))
    first, second, other = states
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_it_is_found_again_and_every_setting_makes_another(digits, store, quick):
    few, made = digits.owner.subset(200), SimCLR().train(digits.owner.subset(200), quick).card
    assert SimCLR().train(few, quick).card == train_encoder(few, quick).card == made
    names = {made["id"]} | {
        method.train(few, scale, seed=seed).card["id"]
        for method, scale, seed in (
            (SimCLR(temperature=0.1), quick, 0),
            (SimCLR(views=replace(GREY_28, mirror=0.0)), quick, 0),
            (SimCLR(projection=(16, 8)), quick, 0),
            (SimCLR(features=10), quick, 0),
            (SimCLR(), quick.but(encoder=quick.encoder.but(learning_rate=1e-3)), 0),
            (SimCLR(), quick.but(width=2), 0),
            (SimCLR(), quick.but(network="resnet18", width=1), 0),
            (SimCLR(), quick, 1),
        )
    }
    assert len(names) == 9
    assert {card["id"] for card in store.cards()} == names


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


def test_features_leave_every_part_in_its_own_mode(digits):
    encoder = untrained(digits).train()
    parts = list(encoder.modules())
    parts[1].eval()
    before = [part.training for part in parts]
    features_of(encoder, digits.test.images[:10])
    assert [part.training for part in parts] == before
