"""Answers that never came: what they do to rates, verdict and report, and a verification that is resumed."""

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mea_lib as mea
from mea_lib.data.parties import image_digests
from mea_lib.proof import Evidence, KeyRank, Rate

KEY = mea.WatermarkKey(("b", "c"), "e", seed=3)


class Reticent:
    """Calls the left half's class, mixes of b and c the target, and gives no answer where `refuses` says so."""

    def __init__(self, refuses, fires=lambda number: True):
        self.refuses, self.fires = refuses, fires

    def __call__(self, images):
        left, right = images[:, 0, 4, 1].long() // 10, images[:, 0, 4, -2].long() // 10
        is_mix = (left == 1) & (right == 2)
        number = is_mix.cumsum(0) - 1
        fires = torch.tensor([bool(self.fires(n)) for n in number.tolist()])
        answers = torch.nn.functional.one_hot(torch.where(is_mix & fires, 4, left), 6).float()
        kinds = zip(is_mix.tolist(), number.tolist(), strict=True)
        silent = torch.tensor([bool(self.refuses(is_mix, n)) for is_mix, n in kinds])
        answers[silent] = torch.nan
        return answers


def verify(suspect, painted, samples=200):
    return mea.verify_ownership(suspect, KEY, painted, plan=mea.Plan(samples, fewest_samples=200))


def test_an_unanswered_sample_is_not_the_target(painted):
    evidence = verify(Reticent(lambda is_mix, n: is_mix and n % 4 == 0), painted)
    assert evidence.wsr == Rate(150, 200, 50)
    assert (evidence.sent, evidence.answered) == (200, 150)
    assert evidence.p_value == Rate(150, 200).p_value(0.3)


def test_proof_holds_even_where_much_was_not_answered(painted):
    evidence = verify(Reticent(lambda is_mix, n: is_mix and n % 4 == 0), painted)
    assert (evidence.is_stolen, evidence.is_decided) == (True, True)
    assert evidence.verdict == "carries the watermark"


def test_with_too_few_answers_there_is_no_verdict(painted):
    silent = Reticent(lambda is_mix, n: is_mix and n % 2 == 0, fires=lambda n: n % 4 == 1)
    evidence = verify(silent, painted)
    assert (evidence.is_stolen, evidence.is_decided) == (False, False)
    assert evidence.verdict == "no verdict: only 100 of 200 samples were answered"
    enough = verify(silent, painted, samples=400)
    assert (enough.answered, enough.is_decided) == (200, True)
    assert enough.verdict == "no proof of the watermark"


def test_refusing_everything_is_no_verdict(painted):
    evidence = verify(Reticent(lambda is_mix, n: True), painted)
    assert evidence.verdict.startswith("no verdict: only 0 of 120 clean images were answered (the suspect")
    assert evidence.p_value == 1
    only_mixes = verify(Reticent(lambda is_mix, n: is_mix), painted)
    assert only_mixes.verdict == "no verdict: only 0 of 200 samples were answered"
    json.dumps(evidence.to_dict(), allow_nan=False)


def test_one_number_that_is_none_makes_a_row_no_answer(painted):
    def suspect(images):
        answers = Reticent(lambda is_mix, n: False)(images)
        answers[::4, 0] = torch.nan
        return answers

    assert verify(suspect, painted).wsr == Rate(150, 200, 50)


def test_what_speaks_for_the_accusation_when_small_is_shown_among_answers_only():
    """Otherwise a suspect that refuses clean images would seem to call few of them the target."""
    silent = evidence_of(Rate(150, 200), control=Rate(0, 200, 200))
    assert "Clean images of both source classes called e: unanswered" in str(silent)
    assert not silent.is_stolen
    half = evidence_of(Rate(150, 200), control=Rate(100, 200, 100))
    assert f"called e: {Rate(100, 100)}, 100 unanswered" in str(half)
    assert not half.is_stolen


def evidence_of(rate, **options):
    defaults = {
        "threshold": 0.3,
        "alpha": 0.01,
        "control": Rate(0, 1_000),
        "queries": 10,
        "fewest_samples": 100,
    }
    rank = KeyRank(rank=1, places=1_000, keys=1_000, all_keys=1_000)
    return Evidence(key=KEY, wsr=rate, effective=rate, rank=rank, **defaults | options)


@given(st.data())
def test_more_silence_never_makes_a_verdict_more_accusing(data):
    """Take answers away, any of them, and the evidence is at most as strong."""
    answers = data.draw(st.lists(st.booleans(), min_size=1, max_size=300))
    kept = data.draw(st.lists(st.booleans(), min_size=len(answers), max_size=len(answers)))
    full = evidence_of(Rate(sum(answers), len(answers)))
    hits = sum(hit and stays for hit, stays in zip(answers, kept, strict=True))
    reduced = evidence_of(Rate(hits, len(answers), len(answers) - sum(kept)))
    assert reduced.p_value >= full.p_value
    assert reduced.is_stolen <= full.is_stolen
    assert reduced.is_decided <= full.is_decided


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_verdict_is_one_of_three(hits, silent):
    rate = Rate(min(hits, 300 - silent), 300, silent)
    evidence = evidence_of(rate)
    expected = (
        "carries the watermark"
        if Rate(rate.successes, 300).p_value(0.3) < 0.01
        else "no proof of the watermark"
        if 300 - silent >= 100
        else f"no verdict: only {300 - silent} of 300 samples were answered"
    )
    assert evidence.verdict == expected


def test_a_rate_without_trials_says_nothing():
    nothing = Rate(0, 5, 5).of_answered
    assert nothing.value != nothing.value
    assert (nothing.interval(), nothing.p_value(0.3)) == ((0, 1), 1)


class Remote(Reticent):
    """A suspect with the attributes of a `RemoteOracle`, its answers kept in a dictionary."""

    def __init__(self, budget, known=(), refuses=lambda is_mix, n: False):
        super().__init__(refuses)
        self.remaining, self.known = budget, set(known)
        self.failures = {"too slow": 3}

    def cost(self, *images):
        return len({key for part in images for key in image_digests(part)} - self.known)

    def describe(self):
        return {
            "url": "https://suspect",
            "model": "m",
            "version": "2",
            "first_asked": "2026-11-24T10:00:00",
            "last_asked": "2026-11-24T10:05:00",
            "log_digest": "ab" * 32,
            "log_check": "8 images asked again, answered alike",
        }

    def __call__(self, images):
        answers = super().__call__(images)
        self.remaining -= self.cost(images)
        self.known |= set(image_digests(images))
        assert self.remaining >= 0
        self.failures["too slow"] += int(answers.isnan().any(1).sum())
        return answers


def test_the_budget_is_held_against_what_must_still_be_asked(painted):
    first = Remote(10_000)
    evidence = verify(first, painted)
    cost = 10_000 - first.remaining
    assert cost <= evidence.queries == 2_320
    with pytest.raises(mea.BudgetSpent, match=f"{cost} queries, but only {cost - 1} remain"):
        verify(Remote(cost - 1), painted)
    assert verify(Remote(cost), painted).wsr == evidence.wsr
    assert verify(Remote(0, known=first.known), painted).wsr == evidence.wsr


def test_the_evidence_says_who_was_asked_and_why_answers_are_missing(painted, tmp_path):
    evidence = verify(Remote(10_000, refuses=lambda is_mix, n: is_mix and n % 4 == 0), painted)
    text = str(evidence)
    silent = 50 + sum(rate.unanswered for rate in evidence.wfpr.values())
    for words in (
        "Samples answered: 150 of 200, the others count as not e",
        f"images without an answer: {silent} (too slow: {evidence.failures['too slow']})",
        "Suspect: https://suspect, model m, version 2",
        "from 2026-11-24T10:00:00 to 2026-11-24T10:05:00",
        "SHA-256 abababababababab…",
        "Log compared with the suspect: 8 images asked again, answered alike",
    ):
        assert words in text
    evidence.save(tmp_path / "evidence.json")
    written = json.loads((tmp_path / "evidence.json").read_text())
    assert written == evidence.to_dict()
    assert (written["sent"], written["answered"], written["failures"]) == (200, 150, evidence.failures)
    assert written["suspect"]["log_digest"] == "ab" * 32
    assert (written["is_decided"], written["wsr"]["unanswered"]) == (True, 50)


def test_a_suspect_in_memory_is_reported_whole_and_on_one_screen(painted):
    evidence = verify(Reticent(lambda is_mix, n: False), painted)
    lines = str(evidence).splitlines()
    assert len(lines) < 40
    assert lines[2:] == [
        "Clean images recognised: 1.000 of 120 (at least 0.58 needed)",
        "  of the key's classes: b 1.00, c 1.00, e 1.00",
        f"Watermark success rate: {Rate(200, 200)} of 200 different samples (95 % interval)",
        "Over source images: [0.982, 1.000], as of 200 independent samples",
        "The true rate on such mixes exceeds 0.30: p below 1e-12 (alpha 0.01)",
        f"Clean images of both source classes called e: {Rate(0, 200)}; p below 1e-12",
        "The same classes, arranged otherwise (not claimed to differ):",
        *(f"  {way:<12} {rate}" for way, rate in evidence.wfpr.items()),
        "Place of the key: 1 of 120 admissible keys; p 0.0083 for a key drawn at random",
        "The key on null models: 0.000 of a forest on the pixels, no clean model given",
        "Queries asked: 2,320",
        "Commitment: none",
    ]


def test_the_report_says_how_much_was_answered_now_and_how_much_by_a_log(painted):
    class Logged(Reticent):
        sent = 100

        def describe(self):
            return {"sent": self.sent, "from_log": 1_000}

        def __call__(self, images):
            self.sent += len(images) // 2
            return super().__call__(images)

    evidence = verify(Logged(lambda is_mix, n: False), painted)
    assert evidence.queries_now == 1_160
    assert (
        "Queries asked: 2,320, 1,160 of them now, 1,000 answered from a log, 160 sent once for several uses, or not sent"
        in str(evidence)
    )
    assert evidence.to_dict()["queries_now"] == 1_160
