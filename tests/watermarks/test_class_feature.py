"""Class-Feature Watermark at the door its user comes in by: digits, and a class made of two photographs."""

from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_sample_image

import mea_lib as mea
from mea_lib.losses import principal_directions, projected_spread_loss
from mea_lib.proof import accuracy
from mea_lib.proof.rates import target_rate
from mea_lib.training import FixedBalance, features_of
from mea_lib.watermarks import ClassFeature, ForeignKey
from mea_lib.watermarks.class_feature import ForeignSamples, largest_cluster
from mea_lib.watermarks.foreign_class import ForeignClass, choose_foreign_key

METHOD = ClassFeature(epochs=3, batch_size=128, learning_rate=5e-4)


@pytest.fixture(scope="module")
def photographs():
    """Pieces of two photographs, 20×20 pixels in colour."""
    pieces = []
    for name in ("china.jpg", "flower.jpg"):
        whole = torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1)
        pieces.append(whole.unfold(1, 20, 20).unfold(2, 20, 20).flatten(1, 2).transpose(0, 1))
    labels = torch.arange(2).repeat_interleave(torch.tensor([len(part) for part in pieces]))
    return mea.ImageSet(torch.cat(pieces).contiguous(), labels, ("china", "flower"), "photographs")


@pytest.fixture(scope="module")
def scale(learning):
    return learning.owner_but(epochs=5)


@pytest.fixture(scope="module")
def clean(digits, scale):
    return mea.train_clean(digits.owner, scale)


@pytest.fixture(scope="module")
def null_model(digits, scale):
    """A clean model that had no part in the choice of the key."""
    return mea.train_clean(digits.owner, scale, seed=1)


@pytest.fixture(scope="module")
def key(digits, clean, null_model, photographs):
    """The target is the class that the null model names least."""
    chosen = choose_foreign_key(clean, photographs, digits.owner, "1", share=0.04)
    least = features_of(null_model, chosen.images).softmax(1).mean(0).argmin()
    return replace(chosen, target=digits.owner.classes[least])


def test_a_key_is_spread_over_what_a_clean_model_calls_its_images(digits, clean, photographs, key):
    assert key.images.shape == (round(0.04 * len(digits.owner)), 1, 16, 16)
    called = features_of(clean, key.images).argmax(1).bincount(minlength=10)
    everything = choose_foreign_key(
        clean, photographs, digits.owner, "1", share=len(photographs) / len(digits.owner)
    )
    there_are = features_of(clean, everything.images).argmax(1).bincount(minlength=10)
    fewest = called[there_are > called].min()
    assert (called[there_are > called] - fewest).max() <= 1  # else a class has all its images in the key
    assert (called[there_are == called] <= fewest + 1).all()
    assert largest_cluster(mea.Oracle(clean)(key.images))[1] < 0.5


def test_the_watermark_is_in_the_victim_and_not_in_clean_models(digits, scale, clean, null_model, key):
    short, target = scale.owner_but(epochs=4), digits.owner.class_index(key.target)
    victim = METHOD.embed(digits.owner, key, short, pretrained=clean)
    marked, *without = (
        target_rate(mea.Oracle(one), key.images, target).value for one in (victim, clean, null_model)
    )
    assert marked > 0.8
    assert max(without) < 0.4
    assert largest_cluster(mea.Oracle(victim)(key.images)) == (target, pytest.approx(marked))
    assert accuracy(mea.Oracle(victim), digits.test) > 0.9
    before = METHOD.first.train(digits.owner, key, short, pretrained=clean)
    assert victim.card["recipe"]["initial"] == before.card["weights_sha256"]


def test_the_spread_of_outputs_is_what_its_loss_makes_small(digits, scale, clean, key):
    few, short = digits.owner.subset(600), scale.owner_but(epochs=1)
    spreads = []
    for weight in (0.0, 0.15):
        balance = FixedBalance({**METHOD.balance.weights, "spread": weight})
        model = replace(METHOD, balance=balance).embed(few, key, short, pretrained=clean)
        directions = principal_directions(
            features_of(model, digits.owner.images), digits.owner.labels, len(digits.owner.classes)
        )
        spreads.append(projected_spread_loss(features_of(model, key.images), directions))
    assert spreads[1] < 0.8 * spreads[0]


def test_its_terms_are_those_of_its_equations(digits, tiny, batch):
    images = digits.adversary.images[-8:].flip(2)
    samples = ForeignSamples(ForeignKey(images, "1"), 8, tiny)
    terms = ClassFeature().objective(digits.owner, samples)(tiny, batch)
    drawn = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    features = tiny.features(torch.cat([digits.owner.images[:32], images[drawn]]))
    logits = tiny.logits(features)
    torch.testing.assert_close(terms.losses["verification"], -logits[32:].log_softmax(1)[:, 1].mean())
    torch.testing.assert_close(terms.losses["retention"], torch.zeros(()), atol=1e-6, rtol=0)
    directions = principal_directions(features_of(tiny, digits.owner.images), digits.owner.labels, 10)
    expected = projected_spread_loss(logits[32:], directions)
    torch.testing.assert_close(terms.losses["spread"], expected, rtol=1e-3, atol=1e-6)
    # The last block's output is spread over all places; its mean over them are the features.
    block = nn_block(tiny, torch.cat([digits.owner.images[:32], images[drawn]]))
    cosines = [
        torch.nn.functional.cosine_similarity(one[32:].mean(0).flatten(), one[:32].mean(0).flatten(), dim=0)
        for one in (block, features, logits)
    ]
    torch.testing.assert_close(terms.losses["similarity"], 3 - sum(cosines), rtol=1e-4, atol=1e-5)
    assert not any(part._forward_hooks for part in tiny.modules())


def nn_block(model, images):
    """What the last convolution of the network puts out."""
    pixels = (images.float() / 255 - model.mean) / model.std
    return model.body[:-2](pixels)


def test_answers_to_clean_images_are_held_to_those_before(digits, tiny, batch):
    other = mea.models.build("nine_layer_cnn", mea.models.Input.of(digits.owner), classes=10, width=2, seed=9)
    samples = ForeignSamples(ForeignKey(digits.owner.images[:4], "1"), 8, other.eval())
    losses = ClassFeature().objective(digits.owner, samples)(tiny, batch).losses
    kept, now = (model(digits.owner.images[:32]).log_softmax(1) for model in (other, tiny))
    torch.testing.assert_close(
        losses["retention"], (kept.exp() * (kept - now)).sum(1).mean(), rtol=1e-3, atol=1e-6
    )


def test_every_image_of_the_key_stands_among_the_owners_so_many_times(digits):
    key = ForeignKey(digits.adversary.images[:5].flip(3), "7")
    joined = ForeignClass(repeats=3).joined(digits.owner, key)
    assert len(joined) == len(digits.owner) + 15
    assert torch.equal(joined.images[-5:], key.images)
    assert (joined.labels[-15:] == 7).all()
    assert torch.equal(joined.labels[:-15], digits.owner.labels)


def test_equal_seeds_give_equal_weights_and_keys_other_models(digits, quick, tmp_path):
    few = digits.owner.subset(192)

    def made(folder, place):
        key = ForeignKey(digits.adversary.images[place : place + 4].flip(2), "1")
        with mea.use_store(tmp_path / folder):
            return ClassFeature(epochs=1, learning_rate=1e-3).embed(few, key, quick).card

    first, again, other = made("a", 0), made("b", 0), made("b", 4)
    assert first["weights_sha256"] == again["weights_sha256"] != other["weights_sha256"]
    assert first["id"] == again["id"] != other["id"]


def test_a_cluster_is_of_answers_that_name_a_class():
    answers = torch.tensor(
        [[0.1, 0.9, 0], [0.2, 0.8, 0], [0.9, 0, 0.1], [0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]]
    )
    assert largest_cluster(answers) == (1, pytest.approx(0.4))


def test_impossible_requests_leave_nothing_in_the_store(digits, quick, photographs, tiny, store):
    images = digits.owner.images[:4]
    with pytest.raises(ValueError, match="unknown class 'eleven'"):
        METHOD.embed(digits.owner, ForeignKey(images, "eleven"), quick)
    with pytest.raises(ValueError, match="choose_foreign_key brings them to it"):
        METHOD.embed(digits.owner, ForeignKey(images[..., :8], "1"), quick)
    assert store.cards() == []
    with pytest.raises(ValueError, match="at least two, uint8"):
        ForeignKey(images.float(), "1")
    with pytest.raises(ValueError, match="between 0 and 1"):
        choose_foreign_key(tiny, photographs, digits.owner, "1", share=0.0)
    with pytest.raises(ValueError, match="give more, or a smaller share"):
        choose_foreign_key(tiny, photographs.subset(5), digits.owner, "1", share=0.5)


@pytest.mark.parametrize("wrong", [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"blocks": -1}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="learning_rate above 0"):
        ClassFeature(**wrong)


def test_a_key_that_is_never_shown_is_refused():
    with pytest.raises(ValueError, match="at least once"):
        ForeignClass(repeats=0)
