"""Rates by hand, intervals by scipy's beta distribution, and the way a dispute goes."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import beta, binom, norm

import mea_lib as mea
from mea_lib import proof
from mea_lib.data import ImageSet, watermark_samples
from mea_lib.proof import Commitment, Rate


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


@pytest.fixture
def painted():
    labels = torch.arange(6).repeat_interleave(300)
    images = (labels * 10).to(torch.uint8)[:, None, None, None].expand(-1, 1, 16, 16).contiguous()
    return ImageSet(images, labels, tuple("abcdef"), "painted")


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


SALT = "cd" * 32


def verify(suspect, painted, **options):
    return mea.verify_ownership(suspect, KEY, painted, samples=200, fewest_samples=200, **options)


def test_a_copy_is_recognised_and_an_honest_model_is_not(painted):
    guilty, honest = verify(Painted(on_mix=4, share=0.6), painted), verify(Painted(), painted)
    assert guilty.is_stolen
    assert guilty.wsr == Rate(120, 200)
    assert guilty.p_value == pytest.approx(binom.sf(119, 200, 0.3))
    assert not honest.is_stolen
    assert honest.verdict == "no proof of the watermark"


def test_a_rate_just_above_the_threshold_is_no_proof(painted):
    evidence = verify(Painted(on_mix=4, share=0.34), painted)
    assert evidence.wsr.value > evidence.threshold
    assert not evidence.is_stolen


def test_too_few_samples_are_refused(painted):
    with pytest.raises(ValueError, match="too few"):
        mea.verify_ownership(Painted(), KEY, painted, samples=999)


def test_every_question_is_counted(painted, tiny, digits, key):
    oracle = mea.Oracle(tiny)
    evidence = mea.verify_ownership(oracle, key, digits.test, samples=50, fewest_samples=50)
    assert evidence.queries == oracle.queries


def test_the_report_is_short_and_the_file_complete(painted, tmp_path):
    evidence = verify(Painted(on_mix=4), painted)
    text = str(evidence)
    assert len(text.splitlines()) < 25
    for words in ("carries the watermark", "b + c → e", "quadrants", "Commitment: none"):
        assert words in text
    evidence.save(tmp_path / "evidence.json")
    written = json.loads((tmp_path / "evidence.json").read_text())
    assert written == evidence.to_dict()
    assert written["is_stolen"] is True
    assert written["key"]["sources"] == ["b", "c"]


def test_a_committed_key_opens_its_commitment(painted, tmp_path):
    commitment = proof.commit(KEY, SALT, painted, samples=1_000)
    commitment.save(tmp_path / "commitment.json")
    read = Commitment.read(tmp_path / "commitment.json")
    assert read == commitment
    assert "b" not in json.loads((tmp_path / "commitment.json").read_text()).get("sources", "")
    evidence = mea.verify_ownership(Painted(on_mix=4), KEY, painted, commitment=read, salt=SALT)
    assert evidence.commitment == commitment.digest


def test_the_commitment_decides_samples_and_threshold(painted):
    commitment = proof.commit(KEY, SALT, painted, samples=1_000, threshold=0.5)
    evidence = mea.verify_ownership(
        Painted(on_mix=4), KEY, painted, samples=2_000, threshold=0.1, commitment=commitment, salt=SALT
    )
    assert (evidence.wsr.trials, evidence.threshold) == (1_000, 0.5)


def test_what_was_not_committed_is_refused(painted):
    commitment = proof.commit(KEY, SALT, painted)
    other_key = mea.WatermarkKey(("b", "d"), "e", seed=3)
    with pytest.raises(ValueError, match="do not match the commitment"):
        mea.verify_ownership(Painted(), other_key, painted, commitment=commitment, salt=SALT)
    with pytest.raises(ValueError, match="do not match the commitment"):
        mea.verify_ownership(Painted(), KEY, painted, commitment=commitment, salt="ef" * 32)
    with pytest.raises(ValueError, match="salt"):
        mea.verify_ownership(Painted(), KEY, painted, commitment=commitment)
    with pytest.raises(ValueError, match="same test set"):
        mea.verify_ownership(Painted(), KEY, painted.subset(900), commitment=commitment, salt=SALT)


def test_a_file_that_is_no_commitment(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match="not a commitment"):
        Commitment.read(tmp_path / "x.json")


def test_samples_follow_from_the_key_alone(painted):
    assert torch.equal(watermark_samples(painted, KEY, 50), watermark_samples(painted, KEY, 50))
