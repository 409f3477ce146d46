"""Runner-up evidence: by hand on painted images, who is convicted, and how often a random key would be."""

import json
from itertools import combinations

import pytest
import torch

import mea_lib as mea
from mea_lib.data import ImageSet
from mea_lib.proof import Rate, RunnerUpEvidence, verify_runner_up
from mea_lib.proof.runner_up_evidence import runner_ups

NAMES = tuple("abcdefghij")
KEY = mea.WatermarkKey(("a", "b"), "c", seed=3)
NUMBERS = torch.arange(10)
NEXT = (NUMBERS + 5) % 10  # the usual second class: nothing to do with the key


@pytest.fixture
def painted():
    """Twenty images of each class, whose first pixel says which one it is and the second which of the twenty."""
    labels = NUMBERS.repeat_interleave(20)
    images = torch.zeros(200, 1, 4, 4, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = labels.to(torch.uint8), torch.arange(200).to(torch.uint8) % 20
    return ImageSet(images, labels, NAMES, "painted")


def suspect(seconds, shares=1.0):
    """Says every class rightly; the first part of its images has the class `seconds` second, the others `NEXT`."""
    shares = torch.as_tensor(shares).expand(10)

    def ask(images):
        label, number = images[:, 0, 0, 0].long(), images[:, 0, 0, 1]
        second = torch.where(number < 20 * shares[label], torch.as_tensor(seconds)[label], NEXT[label])
        answers = torch.zeros(len(images), 10)
        answers[torch.arange(len(images)), second] = 0.3
        answers[torch.arange(len(images)), label] = 0.7
        return answers

    return ask


MARKED = torch.tensor([2, 2, *NEXT[2:]])
clean = suspect(NEXT)


def test_a_runner_up_on_both_sources_is_the_first_of_all_keys(painted):
    evidence = verify_runner_up(suspect(MARKED, 0.6), KEY, painted, [clean])
    assert [str(rate)[:5] for rate in evidence.runner_up] == ["0.600", "0.600"]
    assert evidence.null_models == (0, 0)
    assert (evidence.rank, evidence.keys) == (1, 360)
    assert evidence.p_value == pytest.approx(1 / 360)
    assert evidence.is_stolen
    assert evidence.queries == 400  # twenty of each class first


def test_one_source_alone_is_no_proof(painted):
    one_sided = suspect(torch.tensor([2, *NEXT[1:]]))
    assert not verify_runner_up(one_sided, KEY, painted, [clean]).is_stolen


def test_the_weaker_source_decides(painted):
    shares = torch.zeros(10)
    shares[:2] = torch.tensor([0.9, 0.1])
    shares[[3, 4]] = 0.2
    seconds = MARKED.clone()
    seconds[[3, 4]] = 6  # another key, whose weaker source is the stronger one
    evidence = verify_runner_up(suspect(seconds, shares), KEY, painted, [clean])
    assert evidence.rank == 2


def test_what_clean_models_do_too_counts_for_no_key(painted):
    """Likeness, as of a shirt to a coat, would stand before the watermark; a clean model takes it away."""
    alike = torch.tensor([2, 2, 6, 6, 6, 9, 9, 9, 9, 6])
    shares = torch.ones(10)
    shares[:2] = 0.3
    without = verify_runner_up(suspect(alike, shares), KEY, painted)
    alike_too = suspect(torch.tensor([*NEXT[:2], *alike[2:]]))
    beside = verify_runner_up(suspect(alike, shares), KEY, painted, [clean, alike_too])
    assert without.rank > 3
    assert beside.rank == 1
    assert not verify_runner_up(suspect(alike, shares), KEY, painted, [suspect(alike, shares)]).is_stolen


def test_over_all_keys_an_odd_but_clean_model_is_convicted_no_oftener_than_alpha(painted):
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        odd = suspect(
            (NUMBERS + torch.randint(1, 10, (10,), generator=generator)) % 10,
            torch.rand(10, generator=generator),
        )
        convicted = [
            verify_runner_up(
                odd, mea.WatermarkKey((NAMES[a], NAMES[b]), NAMES[t]), painted, [clean]
            ).is_stolen
            for a, b in combinations(range(10), 2)
            for t in range(10)
            if t not in (a, b)
        ]
        assert sum(convicted) / len(convicted) <= 0.01


def test_labels_alone_and_silence_never_make_an_accusation(painted):
    def labels_only(images):
        return torch.nn.functional.one_hot(images[:, 0, 0, 0].long(), 10).float()

    evidence = verify_runner_up(labels_only, KEY, painted, [clean])
    assert (evidence.runner_up[0].successes, evidence.is_stolen) == (0, False)

    def silent(classes):
        def ask(images):
            answers = suspect(MARKED, 0.6)(images)
            answers[torch.isin(images[:, 0, 0, 0], torch.tensor(classes))] = torch.nan
            return answers

        return ask

    on_sources = verify_runner_up(silent([0, 1]), KEY, painted, [clean])
    assert "does not recognise a" in on_sources.verdict
    assert not on_sources.is_stolen
    assert not verify_runner_up(silent(list(range(10))), KEY, painted, [clean]).is_stolen


def test_runner_ups_that_are_not_alone_are_none():
    answers = torch.tensor(
        [[0.6, 0.3, 0.1, 0], [0.6, 0.2, 0.2, 0], [0.4, 0.4, 0.2, 0], [1, 0, 0, 0], [torch.nan, 0.5, 0.3, 0.2]]
    )
    assert runner_ups(answers).tolist() == [1, -1, -1, -1, -2]
    assert runner_ups(torch.full((2, 1), torch.nan)).tolist() == [-2, -2]


def test_the_report_is_for_people_and_for_programs(painted, tmp_path):
    evidence = verify_runner_up(suspect(MARKED), KEY, painted, [clean])
    assert "Verdict: has the target as runner-up, as the owner has" in str(evidence)
    assert "Place of the key: 1 of 360" in str(evidence)
    evidence.save(tmp_path / "evidence.json")
    saved = json.loads((tmp_path / "evidence.json").read_text())
    assert (saved["is_stolen"], saved["rank"], saved["keys"]) == (True, 1, 360)
    assert saved["runner_up"][0]["successes"] == 20
    doubtful = RunnerUpEvidence(KEY, (Rate(3, 20), Rate(2, 20)), (0.1, 0.1), 40, 360, 720, 0.01, 200)
    assert "no proof by runner-ups" in str(doubtful)


def test_a_key_drawn_among_fewer_says_less(painted):
    """In front of a rank stand two keys each, and all of them might be among those that could be drawn."""
    alone = verify_runner_up(suspect(MARKED), KEY, painted, [clean])
    among = verify_runner_up(suspect(MARKED), KEY, painted, [clean], admissible=250)
    assert (among.rank, among.p_value) == (alone.rank, pytest.approx(2 / 250))
    assert among.to_dict()["admissible_keys"] == 250
    third = RunnerUpEvidence(KEY, (Rate(18, 20), Rate(18, 20)), (0.1, 0.1), 3, 360, 595, 0.01, 200)
    assert (third.p_value, third.is_stolen) == (pytest.approx(6 / 595), False)


def test_a_budget_that_is_too_small_is_not_spent_in_part(painted, tiny):
    asked = mea.Oracle(tiny, budget=399)
    with pytest.raises(mea.BudgetSpent, match="takes 400 queries"):
        verify_runner_up(asked, KEY, painted, [clean])
    assert asked.queries == 0


def test_what_proves_nothing_is_refused(painted):
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
        verify_runner_up(clean, KEY, painted, alpha=0)
    with pytest.raises(ValueError, match="10 classes 720 are admissible"):
        verify_runner_up(clean, KEY, painted, alpha=0.002)
    with pytest.raises(ValueError, match="of the keys of 10 classes 200 are admissible"):
        verify_runner_up(clean, KEY, painted, admissible=200)
    with pytest.raises(ValueError, match="10 classes have 720 keys, of which 721"):
        verify_runner_up(clean, KEY, painted, admissible=721)
    without = ImageSet(painted.images[:180], painted.labels[:180], NAMES, "painted")
    with pytest.raises(ValueError, match="hold none of the classes j"):
        verify_runner_up(clean, KEY, without)
