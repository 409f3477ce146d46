"""Scales: how each party trains at each of them, and what `but` and its kin leave as it is."""

from dataclasses import asdict, fields

import pytest

import mea_lib as mea
from mea_lib.training import TrainingSettings

MUON = {"optimizer": "muon", "schedule": "linear", "augment": False}
PAPER = {"batch_size": 128, "learning_rate": 1e-3, "optimizer": "adam", "schedule": "step"}
BY_MUON = {"learning_rate": 5e-3, "weight_decay": 1e-4, "optimizer": "muon", "muon_rate": 0.05}
BY_ADAMW = {"batch_size": 128, "learning_rate": 2.5e-3, "weight_decay": 1e-4, "muon_rate": 0.05}
SMALL = {"batch_size": 128}
# Epochs and all that is not the default of `TrainingSettings`.
TRAININGS = {
    "smoke": {
        "owner": (1, MUON | SMALL),
        "adversary": (1, MUON | SMALL),
        "ablation": (1, MUON | SMALL),
        "encoder": (1, BY_MUON | SMALL | {"augment": False}),
        "marking": (1, SMALL),
        "fine_tuning": (1, SMALL | {"learning_rate": 2e-4}),
        "encoder_surrogate": (1, BY_MUON | SMALL),
    },
    "laptop": {
        "owner": (2, MUON),
        "adversary": (2, MUON),
        "ablation": (2, MUON),
        "encoder": (3, BY_MUON | {"augment": False}),
        "marking": (3, {}),
        "fine_tuning": (2, {"learning_rate": 2e-4}),
        "encoder_surrogate": (2, BY_MUON),
    },
    "colab": {
        "owner": (12, MUON),
        "adversary": (12, MUON),
        "ablation": (6, MUON),
        "encoder": (60, BY_MUON | {"augment": False}),
        "marking": (24, {}),
        "fine_tuning": (12, {"learning_rate": 2e-4}),
        "encoder_surrogate": (12, BY_MUON),
    },
    "paper": {
        "owner": (100, PAPER),
        "adversary": (100, PAPER),
        "ablation": (100, PAPER),
        "encoder": (100, BY_ADAMW | {"augment": False}),
        "marking": (40, SMALL | {"learning_rate": 1e-3}),
        "fine_tuning": (100, SMALL | {"learning_rate": 1e-4}),
        "encoder_surrogate": (100, BY_ADAMW),
    },
}


def test_there_is_a_row_for_every_scale():
    assert set(TRAININGS) == set(mea.SCALES)


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("party", TRAININGS["smoke"])
def test_how_each_party_trains(name, party):
    scale = mea.preset(name)
    found = scale.ablation.owner if party == "ablation" else getattr(scale, party)
    epochs, other = TRAININGS[name][party]
    assert asdict(found) == pytest.approx(asdict(TrainingSettings(epochs, **other)))


@pytest.mark.parametrize("name", TRAININGS)
def test_an_ablation_shortens_both_sides_and_nothing_else(name):
    scale = mea.preset(name)
    assert scale.ablation.adversary == scale.adversary.but(epochs=scale.ablation_epochs)
    assert changed(scale, scale.ablation) <= {"owner", "adversary"}


@pytest.mark.parametrize("party", ["owner", "adversary"])
def test_what_one_party_does_otherwise_leaves_the_other_as_it_is(party):
    scale = mea.preset("laptop")
    other = getattr(scale, f"{party}_but")(epochs=7, augment=True)
    assert changed(scale, other) == {party}
    assert getattr(other, party) == getattr(scale, party).but(epochs=7, augment=True)


def test_what_follows_from_the_adversarys_training_follows_a_changed_one():
    scale = mea.preset("laptop").adversary_but(epochs=9, learning_rate=0.5, batch_size=32)
    tuning = scale.fine_tuning
    assert (tuning.epochs, tuning.learning_rate, tuning.batch_size) == (9, 0.05, 32)
    assert scale.encoder_surrogate == scale.encoder.but(epochs=9, augment=True)


def changed(one, other):
    """Names of the fields in which two scales differ."""
    return {field.name for field in fields(one) if getattr(one, field.name) != getattr(other, field.name)}


@pytest.mark.parametrize(
    "own",
    [{"optimizer": "sgd", "schedule": "step", "momentum": 0.5}, {"schedule": "step", "muon_momentum": 0.9}],
)
def test_whoever_trains_with_a_momentum_of_their_own_can_fine_tune(own):
    scale = mea.preset("laptop")
    usual = scale.fine_tuning
    assert scale.but(adversary=scale.adversary.but(**own)).fine_tuning == usual
