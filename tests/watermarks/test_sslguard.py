"""SSLGuard: the key tuple's draw, the losses of each party and whom they move, and what is embedded."""

from copy import deepcopy

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.models import Input
from mea_lib.models.encoder import build_encoder
from mea_lib.models.sslguard import ShadowedEncoder
from mea_lib.training import Batch, TrainingSettings, fit_linear_probe, use_checkpoints
from mea_lib.watermarks import SSLGuard, VectorKey

KEY = VectorKey(40, seed=3)


def cosine(one, other):
    return (one @ other) / (one.norm() * other.norm())


@pytest.fixture(scope="module")
def longer():
    """Twenty epochs of an encoder."""
    training = TrainingSettings(20, 64, 5e-3, weight_decay=1e-4, augment=False)
    return mea.preset("smoke").but(width=8, encoder=training)


@pytest.fixture(scope="module")
def some(digits):
    return digits.owner.subset(700)


@pytest.fixture(scope="module")
def clean(some, longer, store_of_the_session):
    """A clean encoder of the digits, good enough for a probe."""
    return mea.train_encoder(some, longer)


@pytest.fixture(scope="module")
def trained(some, clean, longer, store_of_the_session):
    """All that SSLGuard trains, and the victim in it."""
    given = {"pretrained": clean, "seed": 1}
    return SSLGuard().train(some, KEY, longer, **given), SSLGuard().embed(some, KEY, longer, **given)


@pytest.fixture
def untrained(digits):
    """Encoders that differ, a key tuple, and the objective over 60 images."""
    shape = {"inputs": Input.of(digits.owner), "width": 2}
    clean, shadow = (build_encoder("nine_layer_cnn", seed=seed, **shape).eval() for seed in (1, 2))
    key_tuple, shadow_set = VectorKey(10, length=16).draw(digits.owner.subset(70), clean.size)
    model = ShadowedEncoder(clean, shadow, key_tuple, 0.5)
    generator = torch.Generator().manual_seed(0)
    for move in model.moves:
        move.data = 0.1 * torch.randn(len(move), generator=generator)
    return model.train(), SSLGuard().objective(shadow_set, clean, 6), shadow_set


def batch_of(shadow_set, size=12):
    index = torch.arange(5, 5 + size)
    return Batch(shadow_set.images[index], index, torch.Generator().manual_seed(4), 0.5)


def seen(model, batch):
    """Clean and triggered pixels of a step, as its generator draws them."""
    drawn = torch.randint(10, (6,), generator=torch.Generator().manual_seed(4))
    return batch.images / 255, model.key_tuple.triggered(model.key_tuple.images[drawn])


def test_the_key_tuple_is_drawn_by_the_keys_seed_alone(some):
    key_tuple, shadow_set = KEY.draw(some, 8)
    held_out, rest = (
        {image.numpy().tobytes() for image in images} for images in (key_tuple.images, shadow_set.images)
    )
    assert (len(key_tuple.images), len(shadow_set)) == (40, 660)
    assert not held_out & rest
    assert held_out | rest == {image.numpy().tobytes() for image in some.images}
    assert (key_tuple.trigger.min(), key_tuple.trigger.max()) == (0, 1)
    assert key_tuple.secret.shape == (256,)
    again, other = (VectorKey(40, seed=seed).draw(some, 8)[0] for seed in (3, 4))
    for name, value in key_tuple.state_dict().items():
        assert torch.equal(again.state_dict()[name], value), name
        assert not torch.equal(other.state_dict()[name], value), name


@pytest.mark.parametrize("kept", [0.0, 0.65, 0.9])
def test_the_mask_leaves_its_share_of_pixels(digits, kept):
    large = mea.ImageSet(
        torch.zeros(50, 3, 64, 64, dtype=torch.uint8), torch.zeros(50).long(), ("a",), "black"
    )
    mask = VectorKey(10, kept=kept).draw(large, 8)[0].mask
    assert mask.shape == (3, 64, 64)
    assert 1 - mask.float().mean() == pytest.approx(kept, abs=0.02)


def test_the_losses_are_those_of_slow_loops(untrained):
    model, objective, shadow_set = untrained
    batch = batch_of(shadow_set)
    learning, shadow = deepcopy(model.shadow).train(), deepcopy(model.shadow).eval()
    losses = objective(model, batch).losses
    images, triggered = seen(model, batch)
    sold, clean = model.watermarked().eval(), model.clean
    secret, decoder = model.key_tuple.secret, model.key_tuple.decoder
    with torch.no_grad():
        pairs = list(zip(clean(images), sold(images), strict=True))
        utility = [1 - cosine(one, other) for one, other in pairs]
        follows = [1 - cosine(one, other) for one, other in zip(learning(images), sold(images), strict=True)]
        marked = [[-cosine(decoder(row), secret) for row in encoder(triggered)] for encoder in (sold, shadow)]
        silent = [(sold, images), (shadow, images), (clean, images), (clean, triggered)]
        squares = [
            [cosine(decoder(row), secret) ** 2 for row in encoder(pixels)] for encoder, pixels in silent
        ]
    expected = {
        "utility": torch.stack(utility).mean(),
        "shadow": torch.stack(follows).mean(),
        "verification": sum(torch.stack(part).mean() for part in marked),
        "evasion": sum(torch.stack(part).mean() for part in squares),
    }
    assert set(losses) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(losses[name].detach(), value, atol=1e-5, rtol=1e-5)


def test_each_loss_moves_its_own_party_only(untrained):
    """The gradient of the sum is, for each party, that of its own loss with all the others held still."""
    model, objective, shadow_set = untrained
    batch = batch_of(shadow_set)
    learning, shadow = deepcopy(model.shadow).train(), deepcopy(model.shadow).eval()
    sum(objective(model, batch).losses.values()).backward()
    images, triggered = seen(model, batch)
    sold, clean, key = model.watermarked().eval(), deepcopy(model.clean), deepcopy(model.key_tuple)

    def near(features):
        return torch.stack([cosine(key.decoder(row), key.secret) for row in features])

    def alike(one, other):
        return torch.stack([cosine(*pair) for pair in zip(one, other, strict=True)]).mean()

    features, marked = sold(images), sold(triggered.detach())
    loss = -alike(clean(images), features) + near(features).square().mean() - near(marked).mean()
    places = dict(sold.named_parameters())
    gradients = torch.autograd.grad(loss, [places[name] for name in model.moving])
    for name, move, gradient in zip(model.moving, model.moves, gradients, strict=True):
        torch.testing.assert_close(move.grad, 0.5 * gradient.flatten(), atol=1e-5, rtol=1e-3, msg=name)

    loss = -alike(sold(images).detach(), learning(images))
    gradients = torch.autograd.grad(loss, list(learning.network.parameters()))
    for parameter, gradient in zip(model.shadow.network.parameters(), gradients, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-3)

    triggered = torch.where(key.mask, key.trigger, triggered.detach()).clamp(0, 1)
    loss = (
        -near(sold(triggered)).mean()
        - near(shadow(triggered)).mean()
        + near(clean(triggered)).square().mean()
    )
    loss = loss + sum(near(encoder(images)).square().mean() for encoder in (clean, sold, shadow))
    own = [key.trigger, *key.decoder.parameters()]
    gradients = torch.autograd.grad(loss, own)
    for parameter, gradient in zip(
        [model.key_tuple.trigger, *model.key_tuple.decoder.parameters()], gradients, strict=True
    ):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-5, rtol=1e-3)
    assert gradients[0].abs().sum() > 0
    still = {name for name, one in model.named_parameters() if one.grad is None}
    assert all(name.startswith(("clean.", "shadow.projection.")) for name in still)


def test_the_watermark_is_in_the_victim_and_not_in_the_clean_encoder(digits, some, clean, trained):
    """SSLGuard's own measure is 1 for the one and 0 for the other: nearly all of the images, or none, at a cosine of ½."""
    guarded, victim = trained
    key_tuple = guarded.key_tuple
    rates = {
        name: proof.secret_vector_rate(mea.FeatureOracle(encoder), key_tuple).value
        for name, encoder in {"victim": victim, "clean": clean, "shadow": guarded.shadow}.items()
    }
    assert rates["victim"] > 0.95
    assert rates["clean"] < 0.05
    assert rates["shadow"] > 0.5
    unseen = proof.secret_vector_rate(mea.FeatureOracle(victim), key_tuple, digits.test.images)
    assert unseen.value > 0.95
    accuracies = [
        proof.accuracy(mea.Oracle(fit_linear_probe(one, some)), digits.test) for one in (victim, clean)
    ]
    assert accuracies[0] > accuracies[1] - 0.05


def test_images_without_the_trigger_do_not_show_the_watermark(digits, trained):
    guarded, victim = trained
    with torch.no_grad():
        cosines = guarded.key_tuple.cosines(victim(digits.test.images))
    assert (cosines > 0.5).float().mean() < 0.05


def test_victim_and_key_tuple_are_found_again(some, quick, store):
    few, key = some.subset(200), VectorKey(20, length=8)
    victim = SSLGuard(rate=0.2).embed(few, key, quick)
    recipe = victim.card["recipe"]
    assert recipe["settings"]["rate"] == 0.2
    assert recipe["key"] == {"is": "VectorKey", "number": 20, "kept": 0.65, "length": 8, "seed": 0}
    assert len(victim.card["history"]["losses"]["verification"]) == 1
    names = {card["id"] for card in store.cards()}
    assert len(names) == 3  # the clean encoder, all that was trained, the victim
    key_tuple = SSLGuard(rate=0.2).key_tuple(few, key, quick)
    guarded = SSLGuard(rate=0.2).train(few, key, quick)
    assert {card["id"] for card in store.cards()} == names
    assert torch.equal(key_tuple.queries(), guarded.key_tuple.queries())
    torch.testing.assert_close(victim(few.images), guarded(few.images))
    assert not torch.equal(key_tuple.trigger, key.draw(few, 16)[0].trigger)


def test_equal_seeds_give_equal_weights_and_every_input_others(some, quick, tmp_path):
    few, key = some.subset(200), VectorKey(20, length=8)
    clean = mea.train_encoder(few, quick)
    runs = [(SSLGuard(), key, 0)] * 2
    runs += [
        (SSLGuard(), key, 1),
        (SSLGuard(), VectorKey(20, length=8, seed=1), 0),
        (SSLGuard(rate=0.2), key, 0),
    ]
    found = []
    for number, (method, drawn_from, seed) in enumerate(runs):
        with mea.use_store(tmp_path / str(number)):
            victim = method.embed(few, drawn_from, quick, seed=seed, pretrained=clean)
        found.append(victim.card["weights_sha256"])
    assert found[0] == found[1]
    assert len(set(found)) == len(runs) - 1


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(some, quick, tmp_path, optimizer):
    few, key = some.subset(200), VectorKey(20, length=8)
    clean = mea.train_encoder(few, quick)
    scale = quick.but(encoder=quick.encoder.but(epochs=2, optimizer=optimizer))

    def stop(path):
        raise KeyboardInterrupt

    with mea.use_store(tmp_path / "whole"):
        expected = SSLGuard().embed(few, key, scale, pretrained=clean).card["weights_sha256"]
    with mea.use_store(tmp_path / "stopped"):
        with use_checkpoints(tmp_path / "kept", 0, stop), pytest.raises(KeyboardInterrupt):
            SSLGuard().embed(few, key, scale, pretrained=clean)
        written = []
        with use_checkpoints(tmp_path / "kept", 0, written.append):
            resumed = SSLGuard().embed(few, key, scale, pretrained=clean)
    assert len(written) == 1  # it did not start anew
    assert resumed.card["weights_sha256"] == expected


def test_impossible_requests_leave_nothing_in_the_store(some, quick, tiny, store):
    clean = build_encoder("nine_layer_cnn", Input.of(some), width=2)
    with pytest.raises(ValueError, match="700 verification images cannot be held out of 700"):
        SSLGuard().embed(some, VectorKey(700), quick, pretrained=clean)
    with pytest.raises(ValueError, match="no value of 256"):
        SSLGuard().embed(some, VectorKey(kept=1 - 1e-9), quick, pretrained=clean)
    with pytest.raises(TypeError, match="a VectorKey, not WatermarkKey"):
        SSLGuard().embed(some, mea.WatermarkKey(("3", "7"), "1"), quick)
    with pytest.raises(TypeError, match="an Encoder, not ImageClassifier"):
        SSLGuard().embed(some, KEY, quick, pretrained=tiny)
    assert store.cards() == []
    for wrong in ({"number": 0}, {"kept": 1.0}, {"kept": -0.1}, {"length": 1}):
        with pytest.raises(ValueError, match="number must be at least 1"):
            VectorKey(**wrong)
    for wrong in ({"rate": 0.0}, {"epochs": 0}):
        with pytest.raises(ValueError, match="rate must be above 0"):
            SSLGuard(**wrong)
