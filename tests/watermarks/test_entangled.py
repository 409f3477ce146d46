"""The Entangled Watermark: layers, the trigger's place, what is changed around it, interleaved steps, the victim."""

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.losses import soft_nearest_neighbor_loss
from mea_lib.models import NETWORKS, Input, build
from mea_lib.proof.rates import target_rate
from mea_lib.training import Batch
from mea_lib.watermarks import Entangled, EntangledKey
from mea_lib.watermarks.entangled import LEAST_TEMPERATURE
from mea_lib.watermarks.entangled_samples import EntangledSamples, SampleSettings
from mea_lib.watermarks.entanglement import Entanglement, logits_and_features

KEY = EntangledKey("3", "1")
UNCHANGED = SampleSettings(step=0)
FEW_STEPS = SampleSettings(rounds=3, most_steps=10, last_steps=2)
QUICK = Entangled(samples=FEW_STEPS, epochs=6)


@pytest.fixture
def few(digits):
    return digits.owner.subset(240)


@pytest.fixture(scope="module")
def marked(digits, learning, victim):
    """The clean model of the session, trained on with the watermark."""
    return QUICK.embed(digits.owner, KEY, learning, pretrained=victim)


def test_the_watermark_is_in_the_victim_and_in_no_clean_model(digits, learning, victim, marked):
    queries = QUICK.queries(digits.owner, KEY, learning, digits.test, pretrained=victim)
    assert len(queries) == int((digits.test.labels == 3).sum())
    other = mea.train_clean(digits.owner, learning.owner_but(epochs=4), seed=1)
    in_victim, in_its_start, in_another = (
        target_rate(mea.Oracle(model), queries, 1).value for model in (marked, victim, other)
    )
    assert in_victim > 0.8
    assert max(in_its_start, in_another) < 0.3
    assert (
        proof.accuracy(mea.Oracle(marked), digits.test)
        > proof.accuracy(mea.Oracle(victim), digits.test) - 0.05
    )


def test_watermark_samples_and_target_images_are_more_entangled_than_in_the_clean_model(
    digits, victim, marked
):
    maker = QUICK.maker(digits.owner, KEY, victim)
    samples = maker.make(maker.sources[:100])
    before, after = (
        maker.entanglement.measure(model, samples, maker.targets[:100], torch.full((3,), 0.2))[1]
        for model in (victim, marked)
    )
    assert after.sum() > before.sum() + 0.2


def test_equal_seeds_give_equal_weights_and_other_seeds_others(few, quick, tmp_path):
    found = []
    for number, seed in enumerate((0, 0, 1)):
        with mea.use_store(tmp_path / str(number)):
            found.append(Entangled(samples=FEW_STEPS).embed(few, KEY, quick, seed=seed).card)
    first, again, other = found
    assert first["weights_sha256"] == again["weights_sha256"] != other["weights_sha256"]
    assert first["recipe"]["settings"]["samples"]["rounds"] == 3
    assert first["recipe"]["key"] == {"is": "EntangledKey", "source": "3", "target": "1", "pixels": 3}


@pytest.mark.parametrize("network", NETWORKS)
def test_three_layers_of_every_network_are_read_after_their_relu(digits, network):
    model = build(network, Input.of(digits.owner), classes=10, width=2).eval()
    images = digits.test.images[:4]
    logits, features = logits_and_features(model, images, 3)
    assert torch.equal(logits, model(images))
    assert [len(one) for one in features] == [4, 4, 4]
    assert all(one.min() >= 0 for one in features)
    assert not any(layer._forward_hooks for layer in model.modules())
    deepest = features[-1].mean((2, 3)) if features[-1].ndim == 4 else features[-1]
    torch.testing.assert_close(deepest, model.features(images))


def test_the_trigger_goes_where_white_pixels_entangle_most(few, tiny):
    """The same window as by a loop over windows, with the gradient taken from differences of the loss itself."""
    key = EntangledKey("3", "1", pixels=5)
    few = few.subset(torch.cat([few.places(name)[:6] for name in ("3", "1")]))
    direction = Entanglement()
    maker = EntangledSamples(tiny, few, key, UNCHANGED, direction)

    def loss(pixels):
        return direction.measure(tiny, pixels, few.of_class("1").float() / 255, torch.ones(3))[1].sum().item()

    gains = {}
    for row in range(12):
        for column in range(12):
            nudged = few.of_class("3").float() / 255
            nudged[..., row : row + 5, column : column + 5] += 0.02
            gains[row, column] = loss(nudged)
    best = max(gains.values())
    assert gains[maker.place] > best - 0.05 * (best - min(gains.values()))


def test_only_the_trigger_is_painted_where_nothing_is_changed_around_it(few, tiny):
    maker = EntangledSamples(tiny, few, KEY, UNCHANGED, Entanglement())
    made = maker.make(maker.sources)
    row, column = maker.place
    assert (made[..., row : row + 3, column : column + 3] == 255).all()
    assert (made != maker.sources).flatten(1).sum(1).max() <= 9
    made[..., row : row + 3, column : column + 3] = maker.sources[..., row : row + 3, column : column + 3]
    assert torch.equal(made, maker.sources)


def test_changes_entangle_the_samples_and_keep_the_clean_model_from_the_target(digits, victim):
    plain, changed = (
        EntangledSamples(victim, digits.owner, KEY, settings, Entanglement())
        for settings in (UNCHANGED, SampleSettings(last_steps=0, most_steps=0))
    )
    assert plain.place == changed.place
    measured = [
        Entanglement()
        .measure(victim, maker.make(maker.sources[:64]), maker.targets[:64], torch.ones(3))[1]
        .sum()
        for maker in (plain, changed)
    ]
    assert measured[1] > measured[0]
    strict = EntangledSamples(victim, digits.owner, KEY, SampleSettings(), Entanglement())
    samples = strict.make(strict.sources[:64])
    assert target_rate(mea.Oracle(victim), samples, 1).value <= 0.1
    moved = (samples.float() - strict.stamped(strict.sources[:64]).float()).abs() / 255
    assert 0 < moved.max() <= 0.01 * (10 + 50 + 5) + 0.01


def test_every_third_step_is_on_the_watermark_and_moves_the_temperatures(few, tiny, batch):
    method = Entangled(samples=UNCHANGED, temperature_rate=0.5)
    objective = method.objective(few, method.maker(few, KEY, tiny))
    names = [set(objective(tiny, batch).losses) for _ in range(6)]
    assert names == [{"utility"}, {"utility"}, {"watermark", "entanglement"}] * 2
    before, generator = objective.temperatures.clone(), torch.Generator().manual_seed(3)
    objective.steps = 2
    terms = objective(tiny, Batch(batch.images, batch.index, generator, 0.0))
    again = torch.Generator().manual_seed(3)
    half = len(batch.images) // 2
    drawn = [
        images[torch.randint(len(images), (half,), generator=again)]
        for images in (objective.watermarks, objective.targets)
    ]
    _, features = logits_and_features(tiny, torch.cat(drawn), 3)
    groups = torch.tensor([0] * half + [1] * half)
    step, total = 1e-2, 0.0
    for layer, found in enumerate(features):
        at, above, below = (
            soft_nearest_neighbor_loss(found, groups, before[layer].item() + by).item()
            for by in (0.0, step, -step)
        )
        total += at
        moved = objective.temperatures[layer] - before[layer]
        assert moved.item() == pytest.approx(-0.5 * (above - below) / (2 * step), rel=0.05, abs=2e-4)
    assert terms.losses["entanglement"].item() == pytest.approx(-total, rel=1e-4)


@pytest.mark.parametrize("beside_clean", [True, False])
def test_a_watermark_step_is_normalised_with_the_clean_batch_beside_it(few, tiny, batch, beside_clean):
    method = Entangled(samples=UNCHANGED, beside_clean=beside_clean, interval=2)
    objective = method.objective(few, method.maker(few, KEY, tiny))
    objective.steps = 1
    found = objective(tiny.train(), batch).losses["watermark"]
    again = torch.Generator().manual_seed(0)
    drawn = [
        images[torch.randint(len(images), (len(batch.images) // 2,), generator=again)]
        for images in (objective.watermarks, objective.targets)
    ]
    number = sum(map(len, drawn))
    logs = tiny(torch.cat(drawn + [batch.images] * beside_clean))[:number].log_softmax(1)
    torch.testing.assert_close(found, -logs[:, 1].mean())


def test_temperatures_stop_before_0_and_a_checkpoint_keeps_them(few, tiny, batch):
    method = Entangled(samples=UNCHANGED, temperature_rate=1e9, interval=2)
    objective, fresh = (method.objective(few, method.maker(few, KEY, tiny)) for _ in range(2))
    for _ in range(3):
        objective(tiny, batch)
    assert (objective.temperatures >= LEAST_TEMPERATURE).all()
    assert not torch.equal(objective.temperatures, fresh.temperatures)
    fresh.load_state_dict(objective.state_dict())
    assert fresh.steps == 3
    assert torch.equal(objective.temperatures, fresh.temperatures)


@pytest.mark.parametrize(
    ("kind", "wrong", "message"),
    [
        (Entangled, {"interval": 1}, "interval"),
        (Entangled, {"temperature_rate": -0.1}, "temperature_rate"),
        (Entanglement, {"layers": 0}, "layers"),
        (Entanglement, {"temperature": 0.0}, "temperature"),
        (Entanglement, {"distance": "manhattan"}, "cosine, euclidean"),
        (SampleSettings, {"rounds": -1}, "rounds"),
        (SampleSettings, {"threshold": 1.5}, "threshold"),
        (EntangledKey, {"source": "3", "target": "3"}, "must differ"),
        (EntangledKey, {"source": "3", "target": "1", "pixels": 0}, "at least 1 pixel"),
    ],
)
def test_wrong_settings_are_refused(kind, wrong, message):
    with pytest.raises(ValueError, match=message):
        kind(**wrong)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (EntangledKey("3", "eleven"), "unknown class 'eleven'"),
        (EntangledKey("3", 3), "must differ"),
        (EntangledKey("3", "1", pixels=17), "larger than an image"),
    ],
)
def test_keys_that_do_not_fit_leave_nothing_in_the_store(few, quick, store, key, message):
    with pytest.raises(ValueError, match=message):
        Entangled().embed(few, key, quick)
    assert store.cards() == []


def test_what_cannot_be_entangled_is_refused(few, tiny):
    alone = few.subset(torch.cat([few.places("3"), few.places("1")[:1]]))
    with pytest.raises(ValueError, match="two or more"):
        EntangledSamples(tiny, alone, KEY, UNCHANGED, Entanglement())
    maker = EntangledSamples(tiny, few, KEY, SampleSettings(), Entanglement())
    with pytest.raises(ValueError, match="two or more"):
        maker.make(maker.sources[:1])
    with pytest.raises(ValueError, match="take fewer"):
        logits_and_features(tiny, few.images[:2], 50)
