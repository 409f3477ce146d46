"""MBW: trigger images and their labels, the ascent and the loss against slow references, and what is embedded."""

import pytest
import torch

import mea_lib as mea
from mea_lib import proof
from mea_lib.training import Batch
from mea_lib.watermarks import MarginBased, TriggerKey, TriggerSet
from mea_lib.watermarks.margin_based import ascend

KEY = TriggerKey(30, seed=2)
# So few steps learn no wrong label at a tenth of the weight, which the authors' 76,000 do.
STRONG = MarginBased(weight=2.0, steps=2)


@pytest.fixture(scope="module")
def some(digits):
    return digits.owner.subset(700)


@pytest.fixture(scope="module")
def embedded(some, learning):
    """The victim, and the clean model that it goes on from, which had the trigger images with their true labels."""
    clean = mea.train_clean(some, learning)
    return STRONG.embed(some, KEY, learning.owner_but(epochs=8), pretrained=clean), clean


def test_trigger_images_are_held_out_and_wrongly_labelled(some):
    triggers = TriggerSet.drawn_from(some, KEY)
    kept, held_out = (
        {image.numpy().tobytes() for image in images} for images in (triggers.rest.images, triggers.images)
    )
    assert (len(triggers.images), len(triggers.rest)) == (30, 670)
    assert not kept & held_out
    assert kept | held_out == {image.numpy().tobytes() for image in some.images}
    true = {image.numpy().tobytes(): label for image, label in zip(some.images, some.labels, strict=True)}
    assert all(true[image.numpy().tobytes()] != triggers.labels[n] for n, image in enumerate(triggers.images))
    again, other = (TriggerSet.drawn_from(some, TriggerKey(30, seed)) for seed in (2, 3))
    assert torch.equal(again.labels, triggers.labels)
    assert not torch.equal(other.images, triggers.images)


def test_every_wrong_label_is_as_likely(some):
    labels = torch.cat([TriggerSet.drawn_from(some, TriggerKey(600, seed)).labels for seed in range(10)])
    counts = torch.bincount(labels, minlength=10) / len(labels)
    assert (counts - 0.1).abs().max() < 0.02


def test_a_model_that_does_not_know_the_labels_agrees_by_chance_at_most(some):
    """Whatever it says: always one class, or one that is never the true one."""
    triggers = TriggerSet.drawn_from(some, TriggerKey(600))
    true = dict(zip([i.numpy().tobytes() for i in some.images], some.labels.tolist(), strict=True))

    def after(images):
        return torch.eye(10)[[(true[image.numpy().tobytes()] + 1) % 10 for image in images]]

    for suspect in (after, lambda images: torch.eye(10)[torch.full((len(images),), 4)]):
        rate = proof.trigger_success_rate(suspect, triggers)
        assert rate.p_value(triggers.chance) > 0.01
    assert proof.trigger_success_rate(after, triggers).value == pytest.approx(triggers.chance, abs=0.04)


def test_ascent_is_a_slow_loop_on_a_linear_model():
    generator = torch.Generator().manual_seed(0)
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(9, 4))
    pixels = torch.rand(5, 1, 3, 3, generator=generator)
    pixels[0] = 0.0
    labels = torch.tensor([0, 1, 2, 3, 0])
    weight = linear[1].weight.detach()
    expected = pixels.clone()
    for _ in range(3):
        for n in range(5):
            share = linear(expected[n : n + 1]).softmax(1)[0].detach()
            share[labels[n]] -= 1  # the gradient of cross-entropy on the logits
            gradient = (share[:, None] * weight).sum(0).view(1, 3, 3)
            expected[n] = (expected[n] + 0.1 * gradient.sign()).clamp(0, 1)
    found = ascend(linear.train(), pixels, labels, 3, 0.1)
    torch.testing.assert_close(found, expected)
    assert linear.training
    assert not found.requires_grad
    assert all(parameter.grad is None for parameter in linear.parameters())


def test_ascent_leaves_batch_normalisation_as_it_was(some, tiny):
    before = {name: value.clone() for name, value in tiny.state_dict().items()}
    ascend(tiny.train(), some.images[:8] / 255, some.labels[:8], 2, 1 / 255)
    assert tiny.training
    for name, value in tiny.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_the_loss_is_the_mean_over_clean_and_moved_trigger_images_together(some, tiny):
    triggers = TriggerSet.drawn_from(some, KEY)
    method = MarginBased(weight=0.3, batch=10)
    index = torch.arange(16)
    images = triggers.rest.images[index]
    batch = Batch(images, index, torch.Generator().manual_seed(1), 0.0)
    terms = method.objective(triggers.rest, triggers)(tiny, batch)
    drawn = torch.randint(30, (10,), generator=torch.Generator().manual_seed(1))
    moved = ascend(tiny, triggers.images[drawn] / 255, triggers.labels[drawn], 5, 1 / 255)
    assert 0 < (moved - triggers.images[drawn] / 255).abs().max() <= 5 / 255 + 1e-6
    clean = -tiny(images).log_softmax(1)[index, triggers.rest.labels[index]]
    wrong = -tiny(moved).log_softmax(1)[torch.arange(10), triggers.labels[drawn]]
    still = -tiny(triggers.images[drawn]).log_softmax(1)[torch.arange(10), triggers.labels[drawn]]
    torch.testing.assert_close(sum(terms.losses.values()), torch.cat([clean, 0.3 * wrong]).mean())
    assert (wrong > still).float().mean() > 0.8


def test_the_watermark_is_in_the_victim_and_not_in_a_clean_model(digits, some, embedded):
    triggers = TriggerSet.drawn_from(some, KEY)
    victim, clean = (proof.trigger_success_rate(mea.Oracle(model), triggers) for model in embedded)
    assert victim.value > 0.8
    assert victim.p_value(triggers.chance) < 1e-6
    assert clean.value < 0.2
    assert clean.p_value(triggers.chance) > 0.01
    assert proof.accuracy(mea.Oracle(embedded[0]), digits.test) > 0.75


def test_the_same_seed_gives_the_same_weights_and_every_setting_is_in_the_recipe(some, quick, store):
    few = some.subset(200)
    method, key = MarginBased(batch=5, steps=1), TriggerKey(10)
    recipe = method.embed(few, key, quick).card["recipe"]
    assert recipe["settings"]["batch"] == 5
    assert recipe["key"] == {"is": "TriggerKey", "number": 10, "seed": 0}
    first = store.cards()
    assert len(first) == 1
    method.embed(few, key, quick)
    assert len(store.cards()) == 1
    others = [
        MarginBased(batch=6, steps=1).embed(few, key, quick),
        method.embed(few, TriggerKey(10, seed=1), quick),
        method.embed(few, key, quick, seed=1),
    ]
    assert len(store.cards()) == 4
    with mea.use_store(store.root.parent / "another"):
        again = method.embed(few, key, quick)
    assert again.card["weights_sha256"] == first[0]["weights_sha256"]
    assert again.card["weights_sha256"] not in {other.card["weights_sha256"] for other in others}


def test_other_labels_of_the_same_trigger_images_are_another_model(some, quick, store):
    """The rest, which is trained on, is the same: the recipe must name the trigger set itself."""
    few, key = some.subset(200), TriggerKey(10)
    triggers = TriggerSet.drawn_from(few, key)
    labels = few.labels.clone()
    place = (few.images == triggers.images[0]).flatten(1).all(1).nonzero()[0, 0]
    labels[place] = triggers.labels[0]
    relabelled = mea.ImageSet(few.images, labels, few.classes, few.name)
    assert TriggerSet.drawn_from(relabelled, key).rest.digest() == triggers.rest.digest()
    for data in (few, relabelled):
        MarginBased(batch=5, steps=1).embed(data, key, quick)
    assert len(store.cards()) == 2


def test_impossible_requests_leave_nothing_in_the_store(some, quick, store):
    with pytest.raises(ValueError, match="700 trigger images cannot be held out of 700"):
        MarginBased().embed(some, TriggerKey(700), quick)
    with pytest.raises(TypeError, match="a TriggerKey, not WatermarkKey"):
        MarginBased().embed(some, mea.WatermarkKey(("3", "7"), "1"), quick)
    assert store.cards() == []
    with pytest.raises(ValueError, match="at least 1, not 0"):
        TriggerKey(0)
    for wrong in ({"weight": 0}, {"batch": 0}, {"steps": -1}, {"step": 0}):
        with pytest.raises(ValueError, match="weight and step must be above 0"):
            MarginBased(**wrong)
