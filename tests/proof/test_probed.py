"""A head fitted to features that an API answered: the same classifier as one fitted to the encoder itself."""

import json
from dataclasses import replace

import pytest
import torch

import mea_lib as mea
from mea_lib.models import Input
from mea_lib.models.encoder import build_encoder
from mea_lib.proof import ProbedSuspect, accuracy
from mea_lib.training import fit_linear_head, fit_linear_probe


@pytest.fixture
def encoder(digits):
    data = digits.owner
    return build_encoder("nine_layer_cnn", Input.of(data), width=4).eval()


@pytest.fixture
def labelled(digits):
    return digits.owner.subset(300)


def test_it_answers_what_a_probe_of_the_encoder_answers(encoder, digits, labelled):
    suspect = ProbedSuspect(mea.FeatureOracle(encoder), labelled, strength=0.1)
    probe = fit_linear_probe(encoder, labelled, strength=0.1)
    expected = probe(digits.test.images).softmax(1).detach()
    torch.testing.assert_close(suspect(digits.test.images), expected)
    assert suspect.size == encoder.size
    assert accuracy(suspect, digits.test) > 0.5


def test_a_whole_verification_is_that_of_the_probe(encoder, digits, labelled, key, tmp_path):
    oracle = mea.FeatureOracle(encoder)
    suspect = ProbedSuspect(oracle, labelled)
    assert oracle.queries == 300
    plan = mea.Plan(samples=50, fewest_samples=50)
    evidence = mea.verify_ownership(suspect, key, digits.test, plan=plan)
    assert oracle.queries == 300 + evidence.queries
    direct = mea.verify_ownership(
        mea.Oracle(fit_linear_probe(encoder, labelled)), key, digits.test, plan=plan
    )
    assert (evidence.wsr, evidence.control, evidence.wfpr) == (direct.wsr, direct.control, direct.wfpr)
    assert f"fitted by the owner to 300 labelled images, SHA-256 {labelled.digest()[:16]}" in str(evidence)
    evidence.save(tmp_path / "evidence.json")
    written = json.loads((tmp_path / "evidence.json").read_text())
    assert written["suspect"]["probe"]["digest"] == labelled.digest()


def test_a_budget_that_does_not_cover_the_labelled_images_is_not_touched(encoder, labelled):
    oracle = mea.FeatureOracle(encoder, budget=299)
    with pytest.raises(mea.BudgetSpent, match=r"300 labelled images takes 300 queries, but only 299"):
        ProbedSuspect(oracle, labelled)
    assert oracle.queries == 0


def test_the_budget_left_over_limits_the_verification(encoder, digits, labelled, key):
    oracle = mea.FeatureOracle(encoder, budget=699)
    suspect = ProbedSuspect(oracle, labelled)
    assert suspect.remaining == 399
    with pytest.raises(mea.BudgetSpent, match=r"400 .* only 399"):
        mea.verify_ownership(suspect, key, digits.test, plan=mea.Plan(50, fewest_samples=50))
    assert oracle.queries == 300


def pixels(images):
    """Four pixels that differ among the digits."""
    return images[:, 0, 4:6, 6:8].flatten(1).float()


def test_a_suspect_that_counts_nothing_has_no_limit(labelled):
    suspect = ProbedSuspect(pixels, labelled)
    assert suspect.remaining is None
    assert suspect.cost(labelled.images) == len(labelled)
    assert set(suspect.describe()) == {"probe"}


def test_what_the_suspect_says_of_itself_is_passed_on(labelled):
    class Described:
        def __init__(self):
            self.failures = {"too slow": 2}

        def describe(self):
            return {"url": "https://suspect"}

        def cost(self, *images):
            return 7

        def __call__(self, images):
            return pixels(images)

    suspect = ProbedSuspect(Described(), labelled)
    assert suspect.describe()["url"] == "https://suspect"
    assert (suspect.cost(labelled.images), suspect.failures) == (7, {"too slow": 2})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_features_that_are_no_numbers(labelled, number):
    def broken(images):
        return pixels(images).index_fill(0, torch.tensor([1]), number)

    with pytest.raises(ValueError, match=r"no finite features to 1 of 300 .* leave these images out"):
        ProbedSuspect(broken, labelled)
    suspect = ProbedSuspect(lambda images: (pixels if len(images) == 300 else broken)(images), labelled)
    silent = suspect(labelled.images[:4]).isnan()
    assert silent.all(1).tolist() == silent.any(1).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda features: features[:-1],
        lambda features: features[:, :, None],
        lambda features: features[:, 0],
        lambda features: features[:, :0],
    ],
)
def test_answers_that_are_no_features(labelled, spoil):
    with pytest.raises(ValueError, match=r"features have the shape \(300, "):
        ProbedSuspect(lambda images: spoil(pixels(images)), labelled)


def test_the_number_of_features_must_stay(labelled):
    suspect = ProbedSuspect(lambda images: pixels(images)[:, : 4 - (len(images) < 9)], labelled)
    with pytest.raises(ValueError, match=r"shape \(5, 3\); features have the shape \(5, 4\)"):
        suspect(labelled.images[:5])


def test_a_class_without_images_is_named_before_anything_is_asked(encoder, labelled):
    oracle = mea.FeatureOracle(encoder)
    with pytest.raises(ValueError, match="none of the classes 4"):
        ProbedSuspect(oracle, labelled.subset(labelled.labels.ne(4).nonzero().flatten()))
    assert oracle.queries == 0


def test_a_head_does_not_hang_on_the_features_scale(labelled):
    """Else a suspect could answer in tiny numbers to look as if its features said nothing."""
    features, labels, classes = pixels(labelled.images), labelled.labels, labelled.classes
    expected = fit_linear_head(features, labels, classes)(features)
    tiny = features * 1e-8
    torch.testing.assert_close(fit_linear_head(tiny, labels, classes)(tiny), expected, atol=1e-3, rtol=1e-3)


def test_a_head_needs_a_row_for_each_label(labelled):
    with pytest.raises(ValueError, match=r"300 labels need features of the shape \(300, F\), not \(299, 4\)"):
        fit_linear_head(pixels(labelled.images[:299]), labelled.labels, labelled.classes)
    one_too_many = replace(labelled, classes=(*labelled.classes, "ten"))
    with pytest.raises(ValueError, match="none of the classes ten"):
        fit_linear_head(pixels(labelled.images), labelled.labels, one_too_many.classes)
