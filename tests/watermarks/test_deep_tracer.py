"""DeepTracer at the door its user comes in by, on the digits."""

import pytest
import torch
from torch import nn

import mea_lib as mea
from mea_lib.proof import accuracy
from mea_lib.proof.rates import target_rate
from mea_lib.watermarks import DeepTracer, MosaicKey
from mea_lib.watermarks.deep_tracer import select_key_images
from mea_lib.watermarks.mosaic import choose_mosaic_key, mosaics

KEY = MosaicKey(("0", "2", "5", "8"), "1", seed=5)


class Told(nn.Module):
    """A model whose features and logits are read off a table by the first pixel of an image."""

    def __init__(self, features, logits):
        super().__init__()
        self.table, self.answers = nn.Parameter(features), logits

    def features(self, images):
        return self.table[images[:, 0, 0, 0].long()]

    def forward(self, images):
        return self.answers[images[:, 0, 0, 0].long()]


def plain(size, classes=10):
    """Images as grey as the number of their class, three of each."""
    labels = torch.arange(classes).repeat(3)
    images = labels.to(torch.uint8)[:, None, None, None].expand(-1, 1, size, size).contiguous()
    return mea.ImageSet(images, labels, tuple(map(str, range(classes))), "plain")


@pytest.fixture(scope="module")
def scale(learning):
    return learning.owner_but(epochs=5)


@pytest.fixture(scope="module")
def clean(digits, scale):
    return mea.train_clean(digits.owner, scale)


@pytest.mark.parametrize("size", [16, 17])
def test_a_mosaic_has_one_class_in_each_quarter(size):
    made = mosaics(plain(size), KEY, 6)
    half = (size + 1) // 2
    assert made.shape == (6, 1, size, size)
    for place, source in enumerate((0, 2, 5, 8)):
        rows, columns = (slice(half) if not part else slice(half, None) for part in divmod(place, 2))
        assert (made[:, :, rows, columns] == source).all()


def test_the_sources_are_those_nearest_the_centres_of_four_clusters():
    places = torch.tensor(
        [[0, 0], [2, 0], [9, 0], [80, 0], [81, 0], [82, 3], [0, 80], [90, 90], [91, 90], [90, 92]]
    )
    logits = torch.zeros(10, 10)
    logits[:, 1], logits[:, 9] = -9, -5  # 1 is a source itself
    key = choose_mosaic_key(Told(places.float(), logits), plain(16), seed=3)
    assert key == MosaicKey(("1", "4", "6", "7"), "9", seed=3)


def test_the_watermark_is_in_the_victim_and_not_in_clean_models(digits, scale, clean):
    key = choose_mosaic_key(clean, digits.owner)
    victim = DeepTracer().embed(digits.owner, key, scale.owner_but(epochs=3), pretrained=clean)
    null_model = mea.train_clean(
        digits.owner.subset(700), scale, seed=1
    )  # the target was chosen by the other
    queries, target = mosaics(digits.test, key, 300), key.indices(digits.test)[1]
    marked, *without = (
        target_rate(mea.Oracle(one), queries, target).value for one in (victim, clean, null_model)
    )
    assert marked > 0.8
    assert max(without) < 0.3
    assert accuracy(mea.Oracle(victim), digits.test) > 0.9
    assert victim.card["recipe"]["key"]["sources"] == list(key.sources)


def test_its_terms_are_those_of_its_equation(digits, tiny, batch):
    method = DeepTracer(intra=0.5, inter=2.0, margin=0.3)
    samples = method.extras(digits.owner, KEY, mea.preset("smoke").but(watermark_batch=8))
    terms = method.objective(digits.owner, samples)(tiny, batch)
    logs = tiny.logits(terms.features).log_softmax(1)
    labels = torch.cat([digits.owner.labels[:32], torch.ones(8, dtype=torch.long)])
    torch.testing.assert_close(terms.losses["utility"], -logs[range(32), labels[:32]].mean())
    torch.testing.assert_close(terms.losses["verification"], -logs[32:, 1].mean())
    total = torch.zeros(())
    for row, label in zip(terms.features, labels, strict=True):
        for one in digits.owner.labels[:32].unique():
            centre = terms.features[:32][labels[:32] == one].mean(0)
            distance = (row - centre).norm()
            total += 0.5 * distance**2 if one == label else 2.0 * (0.3 - distance).clamp_min(0) ** 2
    torch.testing.assert_close(terms.losses["coupling"], total / 40)
    expected = mosaics(digits.owner, KEY, 8, torch.Generator().manual_seed(0))
    torch.testing.assert_close(tiny.features(expected), terms.features[32:], rtol=1e-4, atol=1e-5)


def test_equal_seeds_give_equal_weights_and_settings_other_models(digits, quick, tmp_path):
    few = digits.owner.subset(192)

    def made(folder, **settings):
        with mea.use_store(tmp_path / folder):
            return DeepTracer(**settings).embed(few, KEY, quick).card

    first, again, other = made("a"), made("b"), made("b", margin=1.0)
    assert first["weights_sha256"] == again["weights_sha256"] != other["weights_sha256"]
    assert first["id"] == again["id"] != other["id"]


def test_key_images_are_those_that_travel_and_that_no_clean_model_obeys():
    images = torch.arange(6, dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 16, 16)

    def model(*target_logits):
        return Told(torch.zeros(1), torch.tensor([[0.0, logit] for logit in target_logits]))

    models = {
        "victim": model(1, 1, 1, -1, 1, 1),
        "surrogate": model(1, 3, -1, 9, 2, 8),
        "clean": model(-1, -1, -1, -1, -1, 1),
    }
    chosen = [select_key_images(images, 1, number, **models)[:, 0, 0, 0].tolist() for number in (2, 9)]
    assert chosen == [[1, 4], [1, 4, 0]]
    with pytest.raises(ValueError, match="none is fit for a key"):
        select_key_images(images, 1, 2, **(models | {"clean": models["victim"]}))


@pytest.mark.parametrize("wrong", [{"intra": -1.0}, {"inter": -0.1}, {"margin": 0.0}])
def test_weights_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="margin above 0"):
        DeepTracer(**wrong)


def test_keys_that_make_no_sense_are_refused(digits, quick, store):
    with pytest.raises(ValueError, match="4 source classes"):
        MosaicKey(("0", "1", "2"), "3")
    with pytest.raises(ValueError, match="must all differ"):
        MosaicKey(("0", "1", "2", "3"), "3")
    with pytest.raises(ValueError, match="unknown class 'eleven'"):
        DeepTracer().embed(digits.owner, MosaicKey(("0", "1", "2", "eleven"), "3"), quick)
    assert store.cards() == []
    with pytest.raises(ValueError, match="at least 5 classes"):
        choose_mosaic_key(Told(torch.zeros(4, 2), torch.zeros(4, 4)), plain(16, classes=4))
