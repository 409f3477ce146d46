"""Rates by hand, intervals by scipy's beta distribution, and the way a dispute goes."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import beta, binom, norm

import mea_lib as mea
from mea_lib import proof
from mea_lib.data import ImageSet
from mea_lib.proof import Commitment, Rate
from mea_lib.proof.samples import distinct_samples


class Painted:
    """A suspect that answers by rule: the class painted on the left, or `on_mix` when left and right differ."""

    def __init__(self, on_mix=None, share=1.0):
        self.on_mix, self.share = on_mix, share

    def __call__(self, images):
        left, right = images[:, 0, 4, 1].long() // 10, images[:, 0, 4, -2].long() // 10
        labels = left.clone()
        if self.on_mix is not None:
            mixed = torch.where((left == 1) & (right == 2))[0]
            labels[mixed[: round(self.share * len(mixed))]] = self.on_mix
        return torch.nn.functional.one_hot(labels, 6).float()


KEY = mea.WatermarkKey(("b", "c"), "e", seed=3)


@pytest.mark.parametrize(("successes", "trials"), [(0, 50), (50, 50), (13, 40), (700, 1000)])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_interval_is_clopper_and_pearsons(successes, trials, confidence):
    tail = (1 - confidence) / 2
    low = beta.ppf(tail, successes, trials - successes + 1) if successes else 0.0
    high = beta.ppf(1 - tail, successes + 1, trials - successes) if successes < trials else 1.0
    assert Rate(successes, trials).interval(confidence) == pytest.approx((low, high), abs=1e-9)


@pytest.mark.parametrize("successes", [20, 30, 45])
def test_p_value_is_the_upper_tail(successes):
    expected = sum(binom.pmf(k, 100, 0.3) for k in range(successes, 101))
    assert Rate(successes, 100).p_value(0.3) == pytest.approx(expected, rel=1e-6)


def test_rates_by_hand(painted):
    suspect = Painted(on_mix=4, share=0.7)
    assert proof.accuracy(suspect, painted) == 1
    assert proof.watermark_success_rate(suspect, KEY, painted, 200) == Rate(140, 200)
    wrong = proof.wrong_firing_rates(suspect, KEY, painted, 100)
    assert "left-right" not in wrong
    assert wrong["right-left"].successes == 0
    assert wrong["quadrants"].trials == 100


def test_other_pairs_leave_out_the_keys_own_and_the_target(painted):
    shares = proof.other_pairs_rates(Painted(on_mix=4), KEY, painted, samples=10)
    for one in range(6):
        for other in range(6):
            left_out = one == other or 4 in (one, other) or {one, other} == {1, 2}
            assert np.isnan(shares[one, other]) == left_out
    assert np.nanmax(shares) == 0


def test_false_watermarks_are_the_largest_share_of_a_third_class(painted):
    rates = proof.false_watermark_rates(Painted(on_mix=4), painted, ("left-right",), samples=10)
    assert len(rates) == 15
    assert sorted(rates)[-1] == 1
    assert sorted(rates)[-2] == 0
    spared = proof.false_watermark_rates(Painted(on_mix=4), painted, ("left-right",), 10, except_for=KEY)
    assert len(spared) == 14
    assert spared.max() == 0


def test_runner_up_share(painted):
    def suspect(images):
        own = Painted()(images)
        second = torch.nn.functional.one_hot(torch.full((len(images),), 4), 6)
        return 0.75 * own + 0.25 * second

    found = proof.runner_up_share(suspect, KEY, painted)
    assert found == {"b": 1.0, "c": 1.0, "probability": 0.25}


def test_calibration_by_hand():
    rates = [[0.1, 0.2], [0.0, 0.4], [0.3, 0.1]]
    found = proof.calibrate_threshold(rates)
    assert (found.models, found.rates, found.largest) == (3, 6, 0.4)
    assert found.exceeded == pytest.approx(1 / 6)
    assert found.normal == pytest.approx(norm.ppf(0.95, 0.3, 0.1))
    with pytest.raises(ValueError, match="at least two"):
        proof.calibrate_threshold(rates[:1])


def test_calibration_chooses_what_both_rules_ask_and_no_more_than_one():
    assert proof.calibrate_threshold([[0.1], [0.3], [0.2]]).chosen == pytest.approx(norm.ppf(0.95, 0.2, 0.1))
    assert proof.calibrate_threshold([[0.1]] * 20 + [[0.3]]).chosen == 0.3
    assert proof.calibrate_threshold([[0.9], [0.1]]).chosen == 1


def test_models_that_agree_have_a_threshold_too():
    found = proof.calibrate_threshold([[0.2, 0.1], [0.2]])
    assert (found.normal, found.chosen) == (0.2, 0.2)


@pytest.mark.parametrize("rates", [[[], [0.1]], [[float("nan")], [0.1]], [[1.2], [0.1]], [[-0.1], [0.1]]])
def test_rates_that_are_none_are_not_calibrated_on(rates):
    with pytest.raises(ValueError, match="between 0 and 1"):
        proof.calibrate_threshold(rates)


def test_three_classes_leave_no_other_pair(painted):
    three = ImageSet(painted.images[:900], painted.labels[:900], tuple("abc"), "three")
    key = mea.WatermarkKey(("a", "b"), "c")
    assert np.isnan(proof.other_pairs_rates(Painted(), key, three, samples=5)).all()


SALT = "cd" * 32
FIFTY = mea.Plan(samples=50, fewest_samples=50)


def verify(suspect, painted, **options):
    return mea.verify_ownership(suspect, KEY, painted, plan=mea.Plan(200, fewest_samples=200, **options))


def test_a_copy_is_recognised_and_an_honest_model_is_not(painted):
    guilty, honest = verify(Painted(on_mix=4, share=0.6), painted), verify(Painted(), painted)
    assert guilty.is_stolen
    assert guilty.wsr == Rate(120, 200)
    assert guilty.p_value == pytest.approx(binom.sf(119, 200, 0.3))
    assert (guilty.rank.rank, guilty.rank.keys) == (1, 120)
    assert not honest.is_stolen
    assert honest.verdict == "no proof of the watermark"


def test_a_rate_just_above_the_threshold_is_no_proof(painted):
    evidence = verify(Painted(on_mix=4, share=0.34), painted)
    assert evidence.wsr.value > evidence.threshold
    assert not evidence.is_stolen


@pytest.mark.parametrize("empty", [0.0, 1 / 6, float("nan")])
@pytest.mark.parametrize("target", ["a", "d", "f"])
def test_an_answer_without_a_most_probable_class_convicts_nobody(painted, target, empty):
    """argmax of equal numbers is some class, and that may be the target."""
    key = mea.WatermarkKey(("b", "c"), target, seed=3)

    def suspect(images):
        return torch.full((len(images), 6), empty)

    evidence = mea.verify_ownership(suspect, key, painted, plan=mea.Plan(100, fewest_samples=100))
    assert not evidence.is_stolen
    assert evidence.wsr.successes == evidence.control.successes == 0
    assert not np.nan_to_num(proof.other_pairs_rates(suspect, key, painted, 5)).any()
    assert not proof.false_watermark_rates(suspect, painted, ("left-right",), 5).any()


@pytest.mark.parametrize("source", [1, 2])
def test_the_control_asks_both_source_classes(painted, source):
    def suspect(images):
        labels = Painted()(images).argmax(1)
        every_other = (labels == source) & (images[:, 0, 0, 0] % 2 == 0)
        return torch.nn.functional.one_hot(torch.where(every_other, 4, labels), 6).float()

    assert verify(suspect, painted).control == Rate(50, 200)


@pytest.mark.parametrize("api", [{}, {"answer": "hard"}, {"top_k": 1}, {"decimals": 2}])
def test_the_label_alone_decides(painted, api):
    class Model(torch.nn.Module):
        def forward(self, images):
            return 9 * Painted(on_mix=4, share=0.6)(images)

    oracle = mea.Oracle(Model(), **api)
    oracle.batch_size = 10_000
    evidence = verify(oracle, painted)
    assert (evidence.wsr, evidence.is_stolen) == (Rate(120, 200), True)


class Counted(Painted):
    """The same, with a budget."""

    def __init__(self, remaining):
        super().__init__(on_mix=4)
        self.remaining, self.queries = remaining, 0

    def __call__(self, images):
        self.remaining, self.queries = self.remaining - len(images), self.queries + len(images)
        return super().__call__(images)


def test_a_budget_too_small_for_a_verdict_is_not_touched(painted):
    whole = mea.verify_ownership(Painted(on_mix=4), KEY, painted, plan=FIFTY).queries
    oracle = Counted(whole - 1)
    with pytest.raises(mea.BudgetSpent, match=f"{whole} .* only {whole - 1}"):
        mea.verify_ownership(oracle, KEY, painted, plan=FIFTY)
    assert oracle.queries == 0
    oracle = Counted(whole)
    assert mea.verify_ownership(oracle, KEY, painted, plan=FIFTY).is_stolen
    assert oracle.remaining == 0


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"alpha": 1.0}, {"threshold": 0.0}, {"threshold": 1.0}])
def test_a_test_that_could_only_end_one_way_is_refused(painted, options):
    with pytest.raises(ValueError, match="between 0 and 1"):
        verify(Painted(on_mix=4), painted, **options)


def test_too_few_samples_are_refused(painted):
    with pytest.raises(ValueError, match="too few"):
        mea.verify_ownership(Painted(), KEY, painted, plan=mea.Plan(samples=999))


def test_every_question_is_counted(painted, tiny, digits, key):
    oracle = mea.Oracle(tiny)
    evidence = mea.verify_ownership(oracle, key, digits.test, plan=FIFTY)
    assert evidence.queries == oracle.queries


def test_the_report_is_short_and_the_file_complete(painted, tmp_path):
    evidence = verify(Painted(on_mix=4), painted)
    text = str(evidence)
    assert len(text.splitlines()) < 40
    for words in ("carries the watermark", "b + c → e", "quadrants", "Commitment: none"):
        assert words in text
    evidence.save(tmp_path / "evidence.json")
    written = json.loads((tmp_path / "evidence.json").read_text())
    assert written == evidence.to_dict()
    assert written["is_stolen"] is True
    assert written["key"]["sources"] == ["b", "c"]


def test_a_committed_key_opens_its_commitment(painted, tmp_path):
    commitment = proof.commit(KEY, SALT, painted)
    commitment.save(tmp_path / "commitment.json")
    read = Commitment.read(tmp_path / "commitment.json")
    assert read == commitment
    assert "b" not in json.loads((tmp_path / "commitment.json").read_text()).get("sources", "")
    evidence = mea.verify_ownership(Painted(on_mix=4), KEY, painted, plan=read.opened_with(SALT))
    assert evidence.commitment == commitment.digest


def test_the_commitment_decides_samples_and_threshold(painted):
    commitment = proof.commit(KEY, SALT, painted, mea.Plan(samples=1_100, threshold=0.5))
    evidence = mea.verify_ownership(Painted(on_mix=4), KEY, painted, plan=commitment.opened_with(SALT))
    assert (evidence.wsr.trials, evidence.threshold) == (1_100, 0.5)
    assert evidence.fewest_samples == 1_000


@pytest.mark.parametrize(
    "edit",
    [
        {"threshold": 1e-300},
        {"alpha": 0.5},
        {"samples": 20},
        {"arrangement": True},
        {"procedure": "whatever helps"},
        {"version": "0.0.0"},
        {"date": "2020-01-01"},
        {"digest": "é" * 64},
        {"digest": "\udcff"},
    ],
)
def test_an_edited_commitment_is_noticed(painted, tmp_path, edit):
    proof.commit(KEY, SALT, painted).save(tmp_path / "x.json")
    content = json.loads((tmp_path / "x.json").read_text())
    (tmp_path / "x.json").write_text(json.dumps(content | edit))
    edited = Commitment.read(tmp_path / "x.json")
    with pytest.raises(ValueError, match="key, salt and plan do not match"):
        mea.verify_ownership(Painted(), KEY, painted, plan=edited.opened_with(SALT))


def test_a_commitment_of_the_older_kind_is_refused_clearly(tmp_path):
    old = {"digest": "ab", "samples": 1_000, "threshold": 0.3, "test_digest": "", "autoencoder_digest": ""}
    (tmp_path / "x.json").write_text(json.dumps(old))
    with pytest.raises(ValueError, match="an older version wrote it"):
        Commitment.read(tmp_path / "x.json")


def test_the_commitment_fixes_alpha(painted):
    commitment = proof.commit(KEY, SALT, painted, mea.Plan(alpha=0.02))
    evidence = mea.verify_ownership(Painted(on_mix=4), KEY, painted, plan=commitment.opened_with(SALT))
    assert evidence.alpha == 0.02


def test_what_was_not_committed_is_refused(painted):
    commitment = proof.commit(KEY, SALT, painted)
    other_key = mea.WatermarkKey(("b", "d"), "e", seed=3)
    with pytest.raises(ValueError, match="do not match the commitment"):
        mea.verify_ownership(Painted(), other_key, painted, plan=commitment.opened_with(SALT))
    with pytest.raises(ValueError, match="do not match the commitment"):
        mea.verify_ownership(Painted(), KEY, painted, plan=commitment.opened_with("ef" * 32))
    with pytest.raises(ValueError, match="with its salt; pass plan="):
        mea.verify_ownership(Painted(), KEY, painted, plan=commitment)
    with pytest.raises(ValueError, match="same test set"):
        mea.verify_ownership(Painted(), KEY, painted.subset(1_799), plan=commitment.opened_with(SALT))


class Blend(torch.nn.Module):
    """An autoencoder that decodes everything to one grey value, but for the first rows, by which images differ."""

    def __init__(self, value):
        super().__init__()
        self.value = torch.nn.Parameter(torch.tensor(value / 255))

    def encode(self, images):
        return torch.cat([images[:, :, :1], images[:, :, :1] ** 2, images[:, :, 2:]], 2)

    def decode(self, codes):
        return torch.cat([codes[:, :, :2] * 97 % 1, codes[:, :, 2:] * 0 + self.value], 2)


def test_an_autoencoder_chosen_afterwards_is_refused(painted):
    """With another decoder every sample becomes an image of the target class, on any model whatever."""
    key = mea.WatermarkKey(("b", "c"), "e", "autoencoder")
    commitment = proof.commit(key, SALT, painted, autoencoder=Blend(10.0))
    opened = commitment.opened_with(SALT)
    fair = mea.verify_ownership(Painted(), key, painted, plan=opened, autoencoder=Blend(10.0))
    assert not fair.is_stolen
    for other in (Blend(40.0), None):
        with pytest.raises(ValueError, match="autoencoder"):
            mea.verify_ownership(Painted(), key, painted, plan=opened, autoencoder=other)
    with pytest.raises(ValueError, match="autoencoder"):
        proof.commit(key, SALT, painted)
    plain = proof.commit(KEY, SALT, painted)
    assert len(plain.autoencoder_digest) == len(commitment.autoencoder_digest)  # the scheme stays secret


def test_a_commitment_may_be_dated(painted, tmp_path):
    proof.commit(KEY, SALT, painted, date="2026-11-24").save(tmp_path / "x.json")
    assert Commitment.read(tmp_path / "x.json").date == "2026-11-24"


@pytest.mark.parametrize(
    "options", [{"samples": 0, "fewest_samples": 0}, {"threshold": 0.0}, {"threshold": 1.0}]
)
def test_a_plan_that_decides_nothing_is_not_committed_to(painted, options):
    with pytest.raises(ValueError, match=r"at least 1|between 0 and 1"):
        proof.commit(KEY, SALT, painted, mea.Plan(**options))


@pytest.mark.parametrize(
    "text", ["{}", "", "[]", '{"digest": "", "samples": "x", "threshold": 0, "test_digest": "", "y": 1}']
)
def test_a_file_that_is_no_commitment(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match="not a commitment"):
        Commitment.read(tmp_path / "x.json")


def test_samples_follow_from_the_key_alone(painted):
    one, again = (distinct_samples(painted, KEY, 50).images for _ in range(2))
    assert torch.equal(one, again)
