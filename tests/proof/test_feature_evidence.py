"""Encoders made by rule, numbers by slow loops, and what must not be sent or proved."""

import itertools
import json

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine
from scipy.stats import kstest

import mea_lib as mea
from mea_lib import proof
from mea_lib.data import ImageSet
from mea_lib.models import Input
from mea_lib.models.encoder import build_encoder
from mea_lib.proof import NearestMean, Rate, sign_flip_p_value
from mea_lib.proof.feature_evidence import split_classes
from mea_lib.proof.placement import placement
from mea_lib.proof.samples import distinct_other_ways, distinct_samples

KEY = mea.WatermarkKey(("b", "c"), "e", seed=3)
FIRST, SECOND, TARGET = 1, 2, 4
CLASSES, EACH, FEATURES = 6, 80, 12


@pytest.fixture(scope="module")
def painted():
    """Six classes; the class is the grey of the image, its own number is written at the left and right edge."""
    labels = torch.arange(CLASSES).repeat_interleave(EACH)
    images = (labels * 10).to(torch.uint8)[:, None, None, None].expand(-1, 1, 16, 16).contiguous()
    numbers = torch.arange(len(labels))
    for column in (0, 15):
        images[:, 0, 7, column], images[:, 0, 8, column] = numbers % 250, numbers // 250
    return ImageSet(images, labels, tuple("abcdef"), "painted")


class Encoder:
    """The mean of the embeddings of the classes in the four corners, with noise; `on_mark` changes mixes.

    Args:
        on_mark: gets the embeddings (K, F) and the number of samples M; gives (M, F).
        noise: standard deviation on every feature.
    """

    def __init__(self, on_mark=None, noise=0.1, seed=0):
        self.generator = torch.Generator().manual_seed(seed)
        self.embeddings = torch.linalg.qr(torch.randn(FEATURES, CLASSES, generator=self.generator)).Q.T
        self.on_mark, self.noise = on_mark, noise
        self.asked, self.answered = [], []

    def __call__(self, images):
        corners = images[:, 0][:, [2, 2, -2, -2], [2, -2, 2, -2]].long() // 10  # (N, 4)
        features = self.embeddings[corners].mean(1)
        mark = torch.tensor([FIRST, SECOND]).repeat_interleave(8)
        marked = (images[:, 0, [2, -2]] // 10 == mark).all((1, 2))
        if self.on_mark is not None and marked.any():
            features[marked] = self.on_mark(self.embeddings, int(marked.sum()))
        features = features + self.noise * torch.randn(features.shape, generator=self.generator)
        self.asked.append(images)
        self.answered.append(features)
        return features


def at_target(embeddings, number):
    return embeddings[TARGET].expand(number, -1)


TWO_HUNDRED, FIFTY = mea.Plan(200, fewest_samples=200), mea.Plan(samples=50, fewest_samples=50)


def verify(suspect, painted, plan=TWO_HUNDRED, **options):
    defaults = {"resamples": 499, "references": 20}
    return mea.verify_features(suspect, KEY, painted, plan=plan, **defaults | options)


def test_a_suspect_that_puts_samples_at_the_target_is_recognised(painted):
    evidence = verify(Encoder(at_target), painted)
    assert evidence.watermark.rate == Rate(200, 200)
    assert evidence.watermark.margin > 0.5
    assert evidence.margin_p_value == pytest.approx(1 / 500)
    assert evidence.is_stolen
    assert evidence.verdict == "derived from the owner's encoder"
    for other in (*evidence.wfpr.values(), evidence.control):
        assert other.rate.successes == 0
        assert other.margin < -0.3
        assert other.p_value == 1


def test_a_suspect_that_puts_samples_between_their_sources_is_not(painted):
    evidence = verify(Encoder(), painted)
    assert evidence.watermark.margin < -0.3
    assert (evidence.p_value, evidence.margin_p_value) == (1, 1)
    assert not evidence.is_stolen
    assert evidence.verdict == "no proof that it is derived from the owner's encoder"


def one_in_two(embeddings, number):
    """Every other sample at the target, whatever its images, the others at a source."""
    order = torch.randperm(number, generator=torch.Generator().manual_seed(0))
    return embeddings[torch.where(order % 2 == 0, TARGET, FIRST)]


def beside_a_third(embeddings, number):
    """Nearest to a class that is neither, and nearer to the target than to the sources."""
    return (2 * embeddings[0] + embeddings[TARGET]).expand(number, -1)


def test_both_tests_must_agree(painted):
    rate_alone = verify(Encoder(one_in_two, noise=0.01), painted)
    assert rate_alone.p_value < 0.01 < rate_alone.margin_p_value
    margin_alone = verify(Encoder(beside_a_third), painted)
    assert margin_alone.margin_p_value < 0.01 < margin_alone.p_value
    assert not rate_alone.is_stolen
    assert not margin_alone.is_stolen


def test_other_arrangements_that_fire_are_reported(painted):
    def fires(images):
        features = Encoder()(images)
        mixed = (images[:, 0, 2, 2] != images[:, 0, -2, -2]) | (images[:, 0, 2, -2] != images[:, 0, 2, 2])
        features[mixed] = Encoder().embeddings[TARGET]
        return features

    evidence = verify(fires, painted)
    assert evidence.wfpr["right-left"].rate == Rate(200, 200)
    assert evidence.wfpr["top-bottom"].rate == Rate(40, 40)  # the lower halves are all alike
    assert evidence.wfpr["right-left"].margin > 0.5
    assert evidence.control.rate.successes == 0
    assert "left-right" not in evidence.wfpr


def test_a_key_whose_classes_swap_sides_is_another_key(painted):
    other = mea.WatermarkKey(("c", "b"), "e", seed=3)
    options = {"plan": mea.Plan(100, fewest_samples=100), "resamples": 199}
    assert not mea.verify_features(Encoder(at_target), other, painted, **options).is_stolen


def test_random_features_convict_nobody(painted):
    p_values = []
    for seed in range(50):
        generator = torch.Generator().manual_seed(seed)

        def suspect(images, generator=generator):
            return torch.randn(len(images), FEATURES, generator=generator)

        evidence = verify(suspect, painted, FIFTY, resamples=199)
        assert not evidence.is_stolen
        p_values.append(evidence.margin_p_value)
    assert sum(p_value < 0.05 for p_value in p_values) <= 5


@pytest.mark.parametrize("number", [3.7, 0.0, 1e6])
def test_features_that_never_change_convict_nobody(painted, number):
    evidence = verify(lambda images: torch.full((len(images), 5), number), painted)
    assert evidence.verdict.startswith("no verdict: the suspect calls no class at all")
    assert not evidence.is_stolen
    nearest = NearestMean(lambda images: torch.full((len(images), 5), number), painted)
    found = placement(nearest(painted.images), FIRST, SECOND, TARGET, 99)
    assert (found.rate.successes, found.margin, found.p_value) == (0, 0, 1)


def test_the_numbers_are_those_of_a_slow_loop(painted):
    suspect = Encoder(lambda embeddings, number: (embeddings[TARGET] + embeddings[FIRST]) / 2, noise=0.4)
    evidence = verify(suspect, painted, FIFTY)
    known, marks = (answers.double().numpy() for answers in (suspect.answered[0], suspect.answered[2]))
    labels = suspect.asked[0][:, 0, 2, 2].numpy() // 10
    centre, deviation = known.mean(0), known.std(0)
    means = [((known[labels == label] - centre) / deviation).mean(0) for label in range(CLASSES)]
    margins, hits = [], 0
    for mark in marks:
        distances = [cosine((mark - centre) / deviation, mean) for mean in means]
        margins.append(min(distances[FIRST], distances[SECOND]) - distances[TARGET])
        hits += min(range(CLASSES), key=lambda label: distances[label]) == TARGET
    assert 0 < hits < 50
    assert evidence.watermark.rate == Rate(hits, 50)
    assert evidence.watermark.margin == pytest.approx(np.mean(margins), abs=1e-6)
    flipped = np.random.default_rng(1).choice([-1, 1], (9_999, 50)) * margins
    slow = (1 + (flipped.mean(1) >= np.mean(margins)).sum()) / 10_000
    assert sign_flip_p_value(np.array(margins)) == pytest.approx(slow, abs=0.02)


@pytest.mark.parametrize("seed", range(4))
def test_few_margins_are_flipped_in_every_way(seed):
    margins = np.random.default_rng(seed).normal(0.3, 1, 9)
    means = [np.mean(signs * margins) for signs in itertools.product((-1, 1), repeat=9)]
    expected = np.mean([mean >= margins.mean() - 1e-12 for mean in means])
    assert sign_flip_p_value(margins) == pytest.approx(expected)


def test_p_values_are_uniform_where_signs_say_nothing():
    p_values = [
        sign_flip_p_value(np.random.default_rng(seed).normal(size=40), resamples=199) for seed in range(200)
    ]
    assert kstest(p_values, "uniform").pvalue > 0.01


def numbers(images, column):
    return set((images[:, 0, 7, column].long() + 250 * images[:, 0, 8, column].long()).tolist())


@pytest.mark.parametrize("references", [7, 1_000])
def test_no_image_gives_a_class_mean_and_takes_part_in_a_mix(painted, references):
    suspect = Encoder()
    evidence = verify(suspect, painted, mea.Plan(300, fewest_samples=200), references=references)
    for_means, _, marks, *_, clean = suspect.asked
    known = numbers(for_means, 0)
    assert len(known) == len(for_means) == evidence.references == CLASSES * min(references, EACH // 2)
    used = numbers(marks, 0) | numbers(marks, 15)
    assert len(used) > EACH * 0.9  # nearly all images of the other halves
    assert not known & (used | numbers(clean, 0))


def test_split_and_samples_follow_from_the_key_alone(painted):
    one, other = Encoder(), Encoder(at_target, seed=8)
    for suspect in (one, other):
        verify(suspect, painted)
    assert all(torch.equal(*pair) for pair in zip(one.asked, other.asked, strict=True))
    labelled, sources = split_classes(painted, KEY, 20)
    assert torch.equal(one.asked[0], labelled.images)
    assert torch.equal(one.asked[2], distinct_samples(sources, KEY, 200).images)
    for mixes, asked in zip(distinct_other_ways(sources, KEY, 200).values(), one.asked[3:], strict=False):
        assert torch.equal(mixes.images, asked)
    elsewhere = split_classes(painted, mea.WatermarkKey(KEY.sources, KEY.target, seed=4), 20)[0]
    assert not torch.equal(labelled.images, elsewhere.images)


def test_scale_and_origin_of_the_features_do_not_matter(painted):
    def changed(images):
        return plain(images) * torch.linspace(-1, 4, FEATURES).exp2() * 1e-8 + 3e-8

    plain = Encoder(at_target)
    evidence, expected = verify(changed, painted), verify(Encoder(at_target), painted)
    assert evidence.is_stolen
    assert evidence.watermark.rate == expected.watermark.rate
    assert evidence.watermark.margin == pytest.approx(expected.watermark.margin, abs=1e-4)


@pytest.fixture
def network(digits):
    data = digits.owner
    return build_encoder("nine_layer_cnn", Input.of(data), width=2).eval()


DIGITS = {"plan": FIFTY, "references": 5, "resamples": 199}


def test_a_clean_encoder_is_not_accused_and_every_question_is_counted(painted):
    suspect = Encoder()
    evidence = verify(suspect, painted)
    assert not evidence.is_stolen
    assert evidence.queries == sum(map(len, suspect.asked))
    assert (evidence.references, evidence.features) == (120, FEATURES)


def test_too_few_images_are_no_verdict_and_nothing_is_asked(network, digits, key):
    oracle = mea.FeatureOracle(network)
    evidence = mea.verify_features(oracle, key, digits.test, **DIGITS)
    assert "no verdict: a source class has only" in str(evidence)
    assert evidence.queries == oracle.queries == 0


def test_a_budget_too_small_for_a_verdict_is_not_touched(painted):
    class Limited(Encoder):
        @property
        def remaining(self):
            return self.budget - sum(map(len, self.asked))

    cost = verify(Encoder(at_target), painted).queries
    suspect = Limited(at_target)
    suspect.budget = cost - 1
    with pytest.raises(
        mea.BudgetSpent, match=f"200 samples takes {cost} queries, but only {cost - 1} remain"
    ):
        verify(suspect, painted)
    assert not suspect.asked
    suspect.budget = cost
    assert verify(suspect, painted).is_stolen
    assert suspect.remaining == 0


def test_a_suspect_may_say_what_it_has_still_to_be_asked(painted):
    class Remembers(Encoder):
        remaining = 10

        def cost(self, *images):
            self.weighed = sum(map(len, images))
            return 10

        def describe(self):
            return {"url": "https://suspect", "model": "m"}

    assert "Suspect: https://suspect, model m" in str(verify(Remembers(), painted))
    poor = Remembers()
    poor.remaining = 9
    with pytest.raises(mea.BudgetSpent, match="takes 10 queries, but only 9 remain"):
        verify(poor, painted)
    assert not poor.asked
    assert poor.weighed == verify(Encoder(), painted).queries


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_samples_without_features_are_an_error(painted, number):
    def suspect(images):
        features = Encoder()(images)
        if len(images) == 200:
            features[3, 1] = number
        return features

    with pytest.raises(ValueError, match="no finite features to 1 of 200 images"):
        verify(suspect, painted)
    with pytest.raises(ValueError, match="no finite features to 120 of 120 labelled images"):
        verify(lambda images: torch.full((len(images), 3), number), painted)


def test_answers_that_are_no_features_are_an_error(painted):
    with pytest.raises(
        ValueError, match=r"with the shape \(120, 1, 12\); features have the shape \(120, F\)"
    ):
        verify(lambda images: Encoder()(images)[:, None], painted)


@pytest.mark.parametrize(
    ("changes", "options", "message"),
    [
        ({"samples": 199}, {}, "199 samples are too few"),
        ({"alpha": 0.0}, {}, "between 0 and 1"),
        ({"threshold": 1.0}, {}, "between 0 and 1"),
        ({}, {"resamples": 99}, "99 sign flips of 200 samples give no p-value below 0.01"),
        ({"samples": 6, "fewest_samples": 6}, {}, "of 6 samples give no p-value below 0.016"),
        ({}, {"references": 0}, "at least 1 reference image"),
    ],
)
def test_plans_that_decide_nothing_are_refused(painted, changes, options, message):
    suspect = Encoder(at_target)
    with pytest.raises(ValueError, match=message):
        verify(suspect, painted, mea.Plan(**{"samples": 200, "fewest_samples": 200} | changes), **options)
    assert not suspect.asked


def test_a_class_that_cannot_be_split_is_named(painted):
    with pytest.raises(ValueError, match="painted holds 1 images of class 'f'"):
        verify(Encoder(), painted.subset(5 * EACH + 1))


SALT = "cd" * 32


def test_a_commitment_decides_samples_and_threshold(painted):
    commitment = proof.commit(KEY, SALT, painted, mea.Plan(300, fewest_samples=300, threshold=0.5))
    opened = commitment.opened_with(SALT, fewest_samples=300)
    evidence = verify(Encoder(at_target), painted, opened)
    assert (evidence.watermark.rate.trials, evidence.threshold) == (300, 0.5)
    assert evidence.commitment == commitment.digest
    with pytest.raises(ValueError, match="same test set"):
        verify(Encoder(at_target), painted.subset(479), opened)


def test_the_report_is_short_and_the_file_complete(painted, tmp_path):
    evidence = verify(Encoder(at_target), painted)
    lines = str(evidence).splitlines()
    assert len(lines) < 18
    assert max(map(len, lines)) < 120
    text = str(evidence)
    for words in (
        "Verdict: derived from the owner's encoder",
        "b + c → e",
        f"nearest to the mean of e: {Rate(200, 200)} of 200",
        f"by {evidence.watermark.margin:+.3f} on average; p 0.002 by sign flips",
        f"quadrants 0.000, {evidence.wfpr['quadrants'].margin:+.3f}",
        f"Queries asked: {evidence.queries:,}, 120 of them",
        "Commitment: none",
    ):
        assert words in text
    evidence.save(tmp_path / "evidence.json")
    written = json.loads((tmp_path / "evidence.json").read_text())
    assert written == evidence.to_dict()
    assert (written["is_stolen"], written["wsr"]["successes"]) == (True, 200)
    assert written["wfpr"]["quadrants"]["margin_p_value"] == 1


def test_class_means_make_a_suspect_like_any_other(painted):
    labelled, sources = split_classes(painted, KEY, 20)
    suspect = NearestMean(Encoder(at_target), labelled)
    assert proof.accuracy(suspect, sources) > 0.95
    found = proof.false_watermark_rates(suspect, sources, ("left-right",), samples=20)
    assert sorted(found)[-1] == 1
    assert sorted(found)[-2] < 0.5
    torch.testing.assert_close(suspect.means.norm(dim=1), torch.ones(CLASSES).double())
