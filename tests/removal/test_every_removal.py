"""What all removals promise: the given model stays as it was, and what was made once is found again."""

import hashlib

import pytest
import torch

import mea_lib as mea
from mea_lib.models.encoder import build_encoder
from mea_lib.removal import (
    fine_pruning,
    finetune,
    honest_mixes,
    prune,
    quantise,
    redistil,
    relabel_mixes,
    transfer,
    unlearn,
    wrk,
)
from mea_lib.removal.changed_copy import weights_digest
from mea_lib.removal.own_images import own_images
from mea_lib.training import TrainingSettings

SMOKE = mea.preset("smoke")
SHORT = TrainingSettings(1, 64)
TRIGGER = {"mask": torch.zeros(1, 16, 16), "pattern": torch.ones(1, 16, 16)}
# Each takes a model, labelled images, and options.
TRAINED = {
    "finetune": lambda model, own, **options: finetune.remove(model, own, SMOKE, **options),
    "relabel_mixes": lambda model, own, **options: relabel_mixes.remove(model, own, SMOKE, **options),
    "honest_mixes": lambda model, own, **options: honest_mixes.remove(model, own, SMOKE, **options),
    "transfer": lambda model, own, **options: transfer.transfer(model, own, SMOKE, **options),
    "prune and train": lambda model, own, **options: prune.remove(model, own, SMOKE, **options),
    "fine_pruning": lambda model, own, **options: fine_pruning.remove(model, own, SMOKE, **options),
    "redistil": lambda model, own, **options: redistil.remove(model, own.images, SMOKE, **options),
    "unlearn": lambda model, own, **options: unlearn.remove(model, own, SMOKE, **TRIGGER, **options),
    "wrk": lambda model, own, **options: wrk.remove(model, own, SMOKE, **options),
}
UNTRAINED = {
    "prune": lambda model, own, store: prune.remove(model, None, SMOKE, store=store),
    "quantise": lambda model, own, store: quantise.remove(model, own, SMOKE, store=store),
}
ALL = {name: lambda m, o, store, f=f: f(m, o, training=SHORT, store=store) for name, f in TRAINED.items()}
ALL |= UNTRAINED


@pytest.fixture
def own(digits):
    return digits.owner.subset(256)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("training", [False, True])
def test_the_given_model_stays_as_it_was(tiny, own, store, state, name, training):
    tiny.train(training)
    before, spec = state(tiny), dict(tiny.spec)
    changed = ALL[name](tiny, own, store)
    assert tiny.training == training
    assert all(parameter.requires_grad for parameter in tiny.parameters())
    assert tiny.spec == spec
    assert set(tiny.state_dict()) == set(before)
    assert all(torch.equal(value, before[part]) for part, value in tiny.state_dict().items())
    assert not changed.training
    assert weights_digest(changed) != weights_digest(tiny)


@pytest.mark.parametrize("name", ALL)
def test_a_model_that_was_made_is_found_again(tiny, make_tiny, own, store, name):
    first = ALL[name](tiny, own, store)
    stored = [card["id"] for card in store.cards()]
    second = ALL[name](make_tiny(), own, store)  # another object with the same weights
    assert [card["id"] for card in store.cards()] == stored
    assert weights_digest(first) == weights_digest(second)
    assert first.card["weights_sha256"] == weights_digest(first)
    other = ALL[name](make_tiny(seed=1), own, store)
    assert other.card["id"] not in stored


@pytest.mark.parametrize("name", ALL)
def test_the_store_is_asked_before_the_model_is_copied_or_answers(tiny, own, store, name, monkeypatch):
    first = ALL[name](tiny, own, store)

    def refuse(*arguments, **options):
        raise AssertionError("the model is in the store already")

    monkeypatch.setattr("mea_lib.removal.changed_copy.copy_of", refuse)
    monkeypatch.setattr(type(tiny), "forward", refuse)
    monkeypatch.setattr(type(tiny), "features", refuse)
    assert ALL[name](tiny, own, store).card["id"] == first.card["id"]


@pytest.mark.parametrize("name", TRAINED)
def test_another_training_seed_or_set_of_images_makes_another_model(tiny, own, store, name):
    def identity(images=own, training=SHORT, seed=0):
        return TRAINED[name](tiny, images, training=training, seed=seed, store=store).card["id"]

    names = [identity(), identity(own.subset(200)), identity(training=SHORT.but(epochs=2)), identity(seed=1)]
    assert len(set(names)) == 4


def test_the_digest_of_weights_is_the_one_on_the_card(victim, shared_store):
    path = shared_store.root / f"{victim.card['id']}.safetensors"
    assert weights_digest(victim) == victim.card["weights_sha256"]
    assert weights_digest(victim) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_model_that_is_no_plain_classifier_is_refused(tiny, own, store):
    quantised = quantise.remove(tiny, own, SMOKE, store=store)
    with pytest.raises(ValueError, match="'quantised'; pass the classifier itself"):
        prune.remove(quantised, None, SMOKE, store=store)
    encoder = build_encoder("nine_layer_cnn", channels=1, size=16, width=2, mean=[0.0], std=[1.0])
    with pytest.raises(ValueError, match="'encoder'; pass the classifier itself"):
        prune.remove(encoder, None, SMOKE, store=store)


def test_the_model_labels_queries_as_its_api_would(tiny, digits):
    for answers in ("soft", "hard"):
        own = own_images(digits.queries, tiny, answers)
        torch.testing.assert_close(own.targets(tiny), mea.Oracle(tiny, answer=answers)(digits.queries))
        assert torch.equal(own.labelled(tiny).labels, tiny(digits.queries).argmax(1))
    given = own_images(digits.owner, tiny)
    assert torch.equal(given.targets(tiny).argmax(1), digits.owner.labels)
    assert torch.equal(given.targets(tiny).sum(1), torch.ones(len(digits.owner)))
    assert given.labels == "given"


@pytest.mark.parametrize(
    "name", ["finetune", "relabel_mixes", "honest_mixes", "prune and train", "fine_pruning", "wrk"]
)
def test_labels_of_the_model_make_another_model_than_labels_that_are_given(victim, own, store, name):
    given, asked = (
        TRAINED[name](victim, images, training=SHORT, store=store).card["recipe"]["labels"]
        for images in (own, own.images)
    )
    assert given == "given"
    assert asked == ("soft" if name == "finetune" else "hard")


def test_images_that_do_not_suit_the_model_are_refused(tiny, digits):
    with pytest.raises(ValueError, match=r"\(1, 16, 16\), not 5 of \(3, 16, 16\)"):
        own_images(torch.zeros(5, 3, 16, 16, dtype=torch.uint8), tiny)
    with pytest.raises(ValueError, match="as_images_of"):
        own_images(torch.zeros(5, 1, 28, 28, dtype=torch.uint8), tiny)
    with pytest.raises(ValueError, match="not 0 of"):
        own_images(digits.owner.subset(0), tiny)
    parity = mea.ImageSet(digits.owner.images, digits.owner.labels % 2, ("even", "odd"), "parity")
    with pytest.raises(ValueError, match="10 classes and parity has 2"):
        own_images(parity, tiny)
    with pytest.raises(ValueError, match="soft, hard"):
        own_images(digits.queries, tiny, "loud")
