"""What all removals promise: the given model stays as it was, and what was made once is found again."""

import hashlib

import pytest
import torch

import mea_lib as mea
from mea_lib.extraction import Distillation
from mea_lib.models import Input
from mea_lib.models.encoder import build_encoder
from mea_lib.removal import (
    WRK,
    FinePruning,
    FineTune,
    MixUpLabels,
    Prune,
    Quantise,
    Redistil,
    RelabelMixes,
    Transfer,
    Unlearn,
)
from mea_lib.removal.base import weights_digest
from mea_lib.removal.own_images import own_images
from mea_lib.training import TrainingSettings

SHORT = mea.preset("smoke").adversary_but(batch_size=64)
TRIGGER = {"mask": torch.zeros(1, 16, 16), "pattern": torch.ones(1, 16, 16)}
TRAINED = {
    "fine-tuning": FineTune(),
    "relabelled mixes": RelabelMixes(),
    "MixUp-labelled mixes": MixUpLabels(),
    "transfer": Transfer(),
    "pruning, then training": Prune(),
    "fine-pruning": FinePruning(),
    "distillation again": Redistil(),
    "unlearning": Unlearn(**TRIGGER),
    "WRK": WRK(tuning=TrainingSettings(1, 64)),
}
ALL = TRAINED | {"pruning": Prune(), "quantisation": Quantise()}
# The two that do not take the number of epochs from the scale.
TRAINED_LONGER = {
    "unlearning": Unlearn(**TRIGGER, epochs=2),
    "WRK": WRK(tuning=TrainingSettings(2, 64)),
}


def made_by(name, model, own, scale=SHORT, seed=0, methods=ALL):
    """What the removal of this name makes; of a transfer, the model of the other task."""
    method = methods[name]
    make = method.transfer if name == "transfer" else method.remove
    return make(model, None if name == "pruning" else own, scale, seed=seed)


@pytest.fixture
def own(digits):
    return digits.owner.subset(256)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("training", [False, True])
def test_the_given_model_stays_as_it_was(tiny, own, state, name, training):
    tiny.train(training)
    before, spec = state(tiny), dict(tiny.spec)
    changed = made_by(name, tiny, own)
    assert tiny.training == training
    assert all(parameter.requires_grad for parameter in tiny.parameters())
    assert tiny.spec == spec
    assert set(tiny.state_dict()) == set(before)
    assert all(torch.equal(value, before[part]) for part, value in tiny.state_dict().items())
    assert not changed.training
    assert weights_digest(changed) != weights_digest(tiny)


@pytest.mark.parametrize("name", ALL)
def test_a_model_that_was_made_is_found_again(tiny, make_tiny, own, store, name):
    first = made_by(name, tiny, own)
    stored = [card["id"] for card in store.cards()]
    second = made_by(name, make_tiny(), own)  # another object with the same weights
    assert [card["id"] for card in store.cards()] == stored
    assert weights_digest(first) == weights_digest(second)
    assert first.card["weights_sha256"] == weights_digest(first)
    other = made_by(name, make_tiny(seed=1), own)
    assert other.card["id"] not in stored


@pytest.mark.parametrize("name", ALL)
def test_the_store_is_asked_before_the_model_is_copied_or_answers(tiny, own, name, monkeypatch):
    first = made_by(name, tiny, own)

    def refuse(*arguments, **options):
        raise AssertionError("the model is in the store already")

    monkeypatch.setattr("mea_lib.removal.base.copy_of", refuse)
    monkeypatch.setattr("mea_lib.removal.redistil.copy_of", refuse)
    monkeypatch.setattr(type(tiny), "forward", refuse)
    monkeypatch.setattr(type(tiny), "features", refuse)
    assert made_by(name, tiny, own).card["id"] == first.card["id"]


@pytest.mark.parametrize("name", TRAINED)
def test_another_training_seed_or_set_of_images_makes_another_model(tiny, own, name):
    longer = SHORT.adversary_but(epochs=2)
    made = [
        made_by(name, tiny, own),
        made_by(name, tiny, own.subset(200)),
        made_by(name, tiny, own, longer, methods=TRAINED | TRAINED_LONGER),
        made_by(name, tiny, own, seed=1),
    ]
    assert len({model.card["id"] for model in made}) == 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (FineTune(), FineTune(layers="last")),
        (FineTune(), FineTune(learning_rate=1e-3)),
        (RelabelMixes(), RelabelMixes(share=0.25)),
        (MixUpLabels(), MixUpLabels(pairs=(("3", "7"),))),
        (Prune(), Prune(scope="layer")),
        (FinePruning(), FinePruning(share=0.5)),
        (Quantise(), Quantise(bits=4)),
        (Redistil(), Redistil(Distillation(temperature=2.0))),
        (WRK(), WRK(step=1.0)),
    ],
    ids=lambda method: type(method).__name__,
)
def test_another_setting_makes_another_model(tiny, own, one, other):
    names = [method.remove(tiny, own, SHORT).card["id"] for method in (one, other)]
    assert names[0] != names[1]


@pytest.mark.parametrize("kind", [FineTune, RelabelMixes, MixUpLabels, Prune, FinePruning])
def test_epochs_and_rate_are_the_methods_else_the_scales(kind):
    assert kind().training(SHORT) == SHORT.fine_tuning
    found = kind(epochs=3, learning_rate=0.5).training(SHORT)
    assert found == SHORT.fine_tuning.but(epochs=3, learning_rate=0.5)


def test_the_digest_of_weights_is_the_one_on_the_card(victim, store_of_the_session):
    path = store_of_the_session.root / f"{victim.card['id']}.safetensors"
    assert weights_digest(victim) == victim.card["weights_sha256"]
    assert weights_digest(victim) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_model_that_is_no_plain_classifier_is_refused(tiny, own):
    quantised = Quantise().remove(tiny, own, SHORT)
    encoder = build_encoder("nine_layer_cnn", Input(1, 16, [0.0], [1.0]), width=2)
    for name in ALL:
        with pytest.raises(ValueError, match="'quantised'; pass the classifier itself"):
            made_by(name, quantised, own)
        with pytest.raises(ValueError, match="'encoder'; pass the classifier itself"):
            made_by(name, encoder, own)


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
    ("name", "labels"),
    [
        ("fine-tuning", "soft"),
        ("relabelled mixes", "hard"),
        ("MixUp-labelled mixes", "hard"),
        ("pruning, then training", "hard"),
        ("fine-pruning", "hard"),
        ("unlearning", "hard"),
        ("WRK", "hard"),
    ],
)
def test_labels_of_the_model_make_another_model_than_labels_that_are_given(victim, own, name, labels):
    found = [made_by(name, victim, images).card["recipe"]["images"]["labels"] for images in (own, own.images)]
    assert found == ["given", labels]


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
