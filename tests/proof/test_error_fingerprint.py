"""AKH: which images are sent, what follows, who is convicted and who is not."""

import json

import pytest
import torch

import mea_lib as mea
from mea_lib.data import ImageSet
from mea_lib.proof import error_queries, verify_errors
from mea_lib.proof.error_queries import cut_mix

NAMES = tuple("abcdefghij")
EACH = 60
NUMBERS = torch.arange(10 * EACH)


@pytest.fixture
def painted():
    """Sixty images of each class, whose first pixel says which one it is and the second which of the sixty."""
    labels = torch.arange(10).repeat_interleave(EACH)
    images = torch.zeros(len(labels), 1, 4, 4, dtype=torch.uint8)
    images[:, 0, 0, 0], images[:, 0, 0, 1] = labels.to(torch.uint8), (NUMBERS % EACH).to(torch.uint8)
    return ImageSet(images, labels, NAMES, "painted")


def table(seed, wrong=0.25, like=None, share=0.0):
    """What a model calls every image: some get another class at random, a part of them that of `like`."""
    generator = torch.Generator().manual_seed(seed)
    labels = NUMBERS // EACH
    turned = torch.randint(1, 10, (len(labels),), generator=generator)
    named = torch.where(torch.rand(len(labels), generator=generator) < wrong, (labels + turned) % 10, labels)
    if like is not None:
        named = torch.where(torch.rand(len(labels), generator=generator) < share, like, named)
    return named


def model(named):
    def ask(images):
        place = images[:, 0, 0, 0].long() * EACH + images[:, 0, 0, 1].long()
        return torch.nn.functional.one_hot(named[place], 10).float()

    return ask


OWN = table(0)
victim, clean = model(OWN), [model(table(seed)) for seed in range(1, 6)]


def test_what_is_sent_is_what_the_victim_gets_wrong(painted):
    queries = error_queries(victim, painted, 100, seed=1)
    assert len(queries) == queries.natural == 100
    assert torch.equal(victim(queries.images).argmax(1), queries.answers)
    assert (queries.images[:, 0, 0, 0] != queries.answers).all()
    assert len(queries.images.flatten(1).unique(dim=0)) == 100
    again, other = (error_queries(victim, painted, 100, seed=seed) for seed in (1, 2))
    assert torch.equal(again.images, queries.images)
    assert not torch.equal(other.images, queries.images)


def test_cut_mix_is_a_slow_loop_over_pixels():
    first, second = torch.zeros(30, 1, 6, 8), torch.ones(30, 1, 6, 8)
    mixed = cut_mix(first, second, torch.Generator().manual_seed(3))
    areas, rows, columns = torch.rand(3, 30, generator=torch.Generator().manual_seed(3))
    for n in range(30):
        half = areas[n].sqrt() / 2
        for i in range(6):
            for j in range(8):
                inside = abs((i + 0.5) / 6 - rows[n]) < half and abs((j + 0.5) / 8 - columns[n]) < half
                assert mixed[n, 0, i, j] == inside
    assert 0.2 < mixed.mean() < 0.5


def test_too_few_errors_are_filled_up_with_mixes_that_are_errors_too():
    """The grey of a painted image is its class, so that a mix still shows the classes that it is of."""
    labels = torch.arange(10).repeat(3)
    images = labels.to(torch.uint8)[:, None, None, None].repeat(1, 1, 6, 6)
    images[10:, :, 0, 0] = 100  # the first ten alone are called something else
    data = ImageSet(images, labels, NAMES, "painted")

    def errs(images):
        grey = images[:, 0].flatten(1).long()
        named = torch.where(grey[:, 0] == 100, grey[:, -1], (grey[:, 0] + grey[:, -1] + 3) % 10)
        return torch.nn.functional.one_hot(named, 10).float()

    queries = error_queries(errs, data, 60)
    assert (len(queries), queries.natural) == (60, 9)  # (2·k + 3) % 10 is k for k = 7
    assert torch.equal(errs(queries.images).argmax(1), queries.answers)
    for image, named in zip(queries.images, queries.answers, strict=True):
        assert named not in image.unique()
    assert any(len(image.unique()) == 2 for image in queries.images)
    with pytest.raises(ValueError, match=r"gets 0 of 30 images of painted wrong"):
        error_queries(lambda images: torch.eye(10)[images[:, 0, 5, 5].long()], data, 5)


def test_the_victim_and_its_surrogates_are_convicted_and_clean_models_are_not(painted):
    for share in (1.0, 0.5):
        evidence = verify_errors(model(table(9, like=OWN, share=share)), victim, painted, clean)
        assert evidence.is_stolen, share
        assert evidence.agreement.value >= share - 0.1
        assert evidence.queries == 200 + 100  # twenty of each class first
    accused = [verify_errors(model(table(seed)), victim, painted, clean).is_stolen for seed in range(20, 40)]
    assert sum(accused) <= 1


def test_errors_that_everybody_makes_convict_nobody(painted):
    everybody = table(7)
    alike = [model(table(seed, like=everybody, share=0.6)) for seed in range(30, 36)]
    own = model(table(8, like=everybody, share=0.6))
    without_these = verify_errors(alike[0], own, painted, clean)
    beside_these = verify_errors(alike[0], own, painted, alike[1:])
    assert without_these.is_stolen
    assert not beside_these.is_stolen
    assert without_these.agreement == beside_these.agreement


def test_silence_never_makes_an_accusation(painted):
    def silent(share):
        def ask(images):
            answers = victim(images)
            answers[: round(share * len(images))] = torch.nan
            return answers

        return ask

    half = verify_errors(silent(0.3), victim, painted, clean)
    assert half.agreement.value == pytest.approx(0.7)
    assert half.agreement.unanswered == 30
    nothing = verify_errors(silent(1), victim, painted, clean)
    assert "no verdict" in nothing.verdict
    assert (nothing.is_stolen, nothing.p_value) == (False, 1.0)


def test_the_report_is_for_people_and_for_programs(painted, tmp_path):
    evidence = verify_errors(victim, victim, painted, clean)
    assert "Verdict: makes the owner's errors" in str(evidence)
    assert "5 clean models name it" in str(evidence)
    evidence.save(tmp_path / "evidence.json")
    saved = json.loads((tmp_path / "evidence.json").read_text())
    assert (saved["is_stolen"], saved["agreement"]["successes"]) == (True, 100)
    assert saved["rank_p_value"] == pytest.approx(1 / 6)


def test_what_proves_nothing_is_refused(painted, tiny):
    with pytest.raises(ValueError, match="at least 2 clean models, not 1"):
        verify_errors(victim, victim, painted, clean[:1])
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
        verify_errors(victim, victim, painted, clean, alpha=0)
    with pytest.raises(ValueError, match="at least 1, not 0"):
        verify_errors(victim, victim, painted, clean, number=0)
    with pytest.raises(ValueError, match="clean model 2 recognises"):
        verify_errors(victim, victim, painted, [clean[0], model(table(3, wrong=1.0))])
    two = ImageSet(painted.images[: 2 * EACH], painted.labels[: 2 * EACH], ("a", "b"), "two")
    with pytest.raises(ValueError, match="at least three classes, not 2"):
        verify_errors(victim, victim, two, clean)
    asked = mea.Oracle(tiny, budget=299)
    with pytest.raises(mea.BudgetSpent, match="takes 300 queries"):
        verify_errors(asked, victim, painted, clean)
    assert asked.queries == 0
