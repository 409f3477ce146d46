"""The loop: it learns, it repeats, it stops at nonsense."""

import math
from itertools import pairwise

import pytest
import torch

from mea_lib.models import Input, build
from mea_lib.training import Clean, FixedBalance, MGDABalance, Terms, TrainingSettings, train
from mea_lib.training.augment import augment, mirror, shift
from mea_lib.training_settings import CYCLED


def network(digits, seed=0, width=4):
    return build("nine_layer_cnn", Input.of(digits.owner), classes=10, width=width, seed=seed)


@pytest.mark.parametrize(
    ("optimizer", "schedule", "rate"),
    [("adamw", "one-cycle", 5e-3), ("sgd", "constant", 0.1), ("adam", "step", 5e-3)],
)
def test_it_learns_the_digits(digits, optimizer, schedule, rate):
    model = network(digits)
    settings = TrainingSettings(
        4, 64, rate, optimizer=optimizer, schedule=schedule, augment=False, weight_decay=1e-4
    )
    history = train(model, digits.owner.images, Clean().objective(digits.owner), settings)
    found = (model(digits.test.images).argmax(1) == digits.test.labels).float().mean().item()
    assert found > 0.8
    assert not model.training
    losses = history.losses["utility"]
    assert len(losses) == 4
    assert losses[-1] < losses[0] / 2


def test_the_same_seed_gives_the_same_model_bit_for_bit(digits):
    settings = TrainingSettings(1, 64, seed=3)
    models = [network(digits) for _ in range(3)]
    for model, chosen in zip(models, (settings, settings, settings.but(seed=4)), strict=True):
        train(model, digits.owner.images, Clean().objective(digits.owner), chosen)
    states = [torch.cat([value.flatten() for value in model.state_dict().values()]) for model in models]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_fewer_images_than_a_batch(digits):
    few = digits.owner.subset(20)
    history = train(network(digits), few.images, Clean().objective(few), TrainingSettings(1, 64))
    assert len(history.losses["utility"]) == 1


def test_no_images_are_said_to_be_none(digits):
    with pytest.raises(ValueError, match="there are no images to train on"):
        train(
            network(digits), digits.owner.images[:0], Clean().objective(digits.owner), TrainingSettings(1, 64)
        )


@pytest.mark.parametrize("name", ["momentum", "muon_momentum"])
def test_a_momentum_that_one_cycle_would_overwrite_is_refused(name):
    with pytest.raises(ValueError, match=f"{name}=0.5 has no effect under the schedule 'one-cycle'"):
        TrainingSettings(1, **{name: 0.5})
    assert getattr(TrainingSettings(1, schedule="linear", **{name: 0.5}), name) == 0.5


def test_one_cycle_moves_the_momentum_as_its_documentation_says(digits):
    seen = []

    def objective(model, batch):
        return Terms({"sum": model(batch.images).square().mean()})

    class Watched(torch.optim.SGD):
        def step(self, *given):
            seen.append(self.param_groups[0]["momentum"])
            return super().step(*given)

    settings = TrainingSettings(2, 64, optimizer="sgd", schedule="one-cycle")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(torch.optim, "SGD", Watched)
        train(network(digits), digits.owner.images, objective, settings)
    assert (min(seen), max(seen)) == pytest.approx(CYCLED, abs=0.01)


def test_a_step_schedule_of_no_epochs_is_refused():
    with pytest.raises(ValueError, match="step_epochs must be at least 1, not 0"):
        TrainingSettings(1, schedule="step", step_epochs=0)


def test_a_loss_that_is_no_number_is_named(digits):
    def objective(model, batch):
        return Terms({"broken": model(batch.images).sum() * float("nan")})

    with pytest.raises(FloatingPointError, match="broken loss became nan; lower the learning rate"):
        train(network(digits), digits.owner.images, objective, TrainingSettings(1, 64))


def test_unknown_settings_are_refused():
    with pytest.raises(ValueError, match="adamw"):
        TrainingSettings(1, optimizer="lion")
    with pytest.raises(ValueError, match="one-cycle"):
        TrainingSettings(1, schedule="cosine")
    with pytest.raises(ValueError, match="at least 1"):
        TrainingSettings(0)


def test_mirror_turns_whole_images_round():
    images = torch.randint(0, 256, (50, 3, 16, 16), dtype=torch.uint8)
    turned = mirror(images, torch.Generator().manual_seed(0))
    kept = (turned == images).flatten(1).all(1)
    flipped = (turned == images.flip(3)).flatten(1).all(1)
    assert (kept | flipped).all()
    assert 10 < flipped.sum() < 40


def test_shift_moves_by_at_most_its_pixels_and_brings_in_black():
    images = torch.full((40, 2, 16, 16), 9, dtype=torch.uint8)
    moved = shift(images, torch.Generator().manual_seed(0), pixels=2)
    assert (moved[:, :, 2:-2, 2:-2] == 9).all()
    for image in moved[:, 0]:
        lost_rows, lost_columns = (int((image == 0).all(dim).sum()) for dim in (1, 0))
        assert max(lost_rows, lost_columns) <= 2


def test_augmentation_is_the_same_for_a_seed_and_keeps_the_type():
    images = torch.randint(0, 256, (9, 1, 28, 28), dtype=torch.uint8)
    first, second = (augment(images, torch.Generator().manual_seed(1)) for _ in range(2))
    assert first.dtype == torch.uint8
    assert torch.equal(first, second)


def test_half_precision_scales_its_losses(digits, monkeypatch):
    from mea_lib.training import loop

    monkeypatch.setattr(loop, "training_dtype", lambda device: torch.float16)
    model = network(digits)
    settings = TrainingSettings(3, 64, 5e-3, augment=False)
    history = train(model, digits.owner.images, Clean().objective(digits.owner), settings)
    assert history.losses["utility"][-1] < history.losses["utility"][0] * 0.8


@pytest.mark.parametrize(
    ("epochs", "batch"), [(5, 16), (16, 48)], ids=["six steps an epoch", "two steps an epoch"]
)
def test_a_step_whose_scaled_gradients_overflow_counts_in_no_mean_weight(digits, monkeypatch, epochs, batch):
    from mea_lib.training import loop

    monkeypatch.setattr(loop, "training_dtype", lambda device: torch.float16)
    few = digits.owner.subset(96)  # a processor takes long over float16
    clean = Clean().objective(few)

    def steep(model, images):
        loss = clean(model, images).losses["utility"]
        return Terms({"flat": loss, "steep": 1e3 * loss})

    noted = []  # the scale and the weights of each step

    class Noting(MGDABalance):
        def backward(self, terms, parameters, epoch, scale):
            noted.append((scale, super().backward(terms, parameters, epoch, scale)))
            return noted[-1][1]

    settings = TrainingSettings(epochs, batch, augment=False)
    history = train(network(digits, width=1), few.images, steep, settings, balance=Noting())
    steps = len(noted) // epochs
    # The scale is halved after a step that overflowed; of the last step it isn't known.
    taken = [after == before for (before, _), (after, _) in pairwise(noted)] + [True]
    assert taken[-steps:] == [True] * steps, "to the end steps overflowed"
    assert not all(taken), "nothing overflowed"
    for epoch, mean in enumerate(history.weights["steep"]):
        places = range(epoch * steps, (epoch + 1) * steps)
        counted = [noted[place][1]["steep"] for place in places if taken[place]]
        assert mean == pytest.approx(sum(counted) / len(counted), abs=1e-5) if counted else math.isnan(mean)


def test_a_loss_of_some_steps_has_its_mean_over_those(digits):
    """As where steps on watermark samples alternate with others."""
    seen = {"even": [], "odd": []}

    def alternating(model, batch):
        name = ("even", "odd")[sum(map(len, seen.values())) % 2]
        loss = clean(model, batch).losses["utility"]
        seen[name].append(loss.item())
        return Terms({name: loss})

    few = digits.owner.subset(96)
    clean = Clean().objective(few)
    settings = TrainingSettings(1, 16, augment=False)
    balance = FixedBalance({"odd": 0.25})
    history = train(network(digits, width=1), few.images, alternating, settings, balance=balance)
    for name, weight in (("even", 1.0), ("odd", 0.25)):
        assert history.losses[name] == [pytest.approx(sum(seen[name]) / 3, abs=1e-4)]
        assert history.weights[name] == [weight]
