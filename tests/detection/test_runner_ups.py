"""Runner-ups and the search built on them: a planted rule, then a real watermark on the digits."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

import mea_lib as mea
from mea_lib.data import ImageSet
from mea_lib.detection import KeySearch, RunnerUps
from mea_lib.training import TrainingSettings
from mea_lib.watermarks import RunnerUp

SMOKE = mea.preset("smoke")
NAMES = tuple("abcdef")
LONGER = SMOKE.but(owner=TrainingSettings(25, 64, 5e-3, augment=False))


def ranked(answers, names=NAMES):
    """The ranking by answers that are known."""
    return RunnerUps().detect(None, None, names, answers=answers)


def random_answers(seed=0, images=300):
    logits = 2 * torch.randn(images, 6, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return logits.softmax(1)


def planted_answers():
    """Every class is sure of itself; b and c like e second, and each other least."""
    answers = torch.full((60, 6), 0.01, dtype=torch.float64)
    for number in range(60):
        answers[number, number % 6] = 0.95
    for source, other in ((1, 2), (2, 1)):
        answers[source::6, 4] = 0.30
        answers[source::6, source] = 0.65
        answers[source::6, other] = 0.001
    return answers / answers.sum(1, keepdim=True)


def test_every_margin_by_a_slow_loop():
    answers = random_answers()
    found = ranked(answers)
    rows, named = answers.tolist(), answers.argmax(1).tolist()
    for a, b in combinations(range(6), 2):
        usual = []
        for source in (a, b):
            own = [row for row, label in zip(rows, named, strict=True) if label == source]
            usual.append([np.median([math.log(row[k]) for row in own]) for k in range(6)])
        blend = [(x + y) / 2 for x, y in zip(*usual, strict=True)]
        for t in set(range(6)) - {a, b}:
            expected = blend[t] - max(blend[k] for k in range(6) if k != t)
            sources = NAMES[a], NAMES[b]
            assert found.of(sources, NAMES[t]).score == pytest.approx(expected)
            assert found.of(sources[::-1], NAMES[t]) == found.of(sources, NAMES[t])
    assert len(found.tried) == len(found.ranked) == 15 * 4
    assert [one.score for one in found.ranked] == sorted((one.score for one in found.tried), reverse=True)


def test_the_planted_triple_stands_out_alone():
    found = ranked(planted_answers())
    first, *others = found.ranked
    assert first[:3] == ("b", "c", "e")
    assert found.standing_out() == [first]
    assert found.rank(("c", "b"), "e") == 1
    assert all(triple.score < 0 for triple in others)


def test_a_few_odd_images_change_little():
    answers = planted_answers()
    odd = answers.clone()
    odd[[1, 7]] = torch.tensor([0.02, 0.9, 0.02, 0.02, 1e-9, 0.04], dtype=torch.float64)
    before, after = (ranked(table).of(("b", "c"), "e").score for table in (answers, odd))
    assert after == pytest.approx(before, abs=0.01)


def test_labels_alone_say_nothing():
    labels = torch.eye(6).repeat(10, 1)
    found = ranked(labels)
    assert len({triple.score for triple in found.ranked}) == 1
    assert found.rank(("b", "c"), "e") == found.rank(("a", "b"), "c") == 1
    assert found.standing_out() == []


def test_a_class_that_no_answer_names_is_no_source_and_may_be_a_target():
    answers = planted_answers()
    without = answers[answers.argmax(1) != 4]
    found = ranked(without)
    assert found.best[:3] == ("b", "c", "e")
    assert all("e" not in (triple.first, triple.second) for triple in found.ranked)
    assert found.rank(("b", "e"), "c") == len(found.ranked) + 1
    for names in (("b", "z", "c"), ("b", "b", "c")):
        with pytest.raises(ValueError, match="not three of the classes; there are: a, b"):
            found.rank(names[:2], names[2])


def test_answers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"5 classes need answers of the shape \(M, 5\)"):
        ranked(random_answers(), NAMES[:5])
    with pytest.raises(ValueError, match="at least 3 classes"):
        ranked(torch.rand(4, 2), NAMES[:2])


@pytest.fixture
def painted():
    labels = torch.arange(6).repeat(10)
    images = (labels * 10).to(torch.uint8)[:, None, None, None].expand(-1, 1, 10, 10).contiguous()
    return ImageSet(images, labels, NAMES, "painted")


class Secret:
    """Names the class on the left, but e where c is on the left of b and not below it."""

    def __init__(self):
        self.asked = 0

    def __call__(self, images):
        self.asked += len(images)
        left, right = images[:, 0, 0, 0].long() // 10, images[:, 0, 0, -1].long() // 10
        below = images[:, 0, -1, 0].long() // 10
        labels = torch.where((left == 2) & (right == 1) & (below == 2), 4, left)
        return torch.nn.functional.one_hot(labels, 6).float()


def test_the_search_names_pair_order_target_and_way(painted):
    suspect, method = Secret(), KeySearch(ways=("left-right", "top-bottom"), samples=5)
    search = method.detect(suspect, painted.images, NAMES, answers=planted_answers())
    assert search.best[:5] == ("c", "b", "e", 1.0, "left-right")
    assert len(search.ranked) == 10
    assert search.rank(("b", "c"), "e") == 1
    assert search.queries == suspect.asked <= 10 * 2 * 2 * 5
    assert sum(mix.score > 0 for mix in search.tried if {mix.first, mix.second} == {"b", "c"}) == 1
    assert method.detect(suspect, painted.images, NAMES, answers=planted_answers()) == search


def test_one_candidate_is_mixed_in_both_orders_only(painted):
    suspect = Secret()
    method = KeySearch(candidates=1, ways=("left-right",), samples=7)
    search = method.detect(suspect, painted.images, NAMES, answers=planted_answers())
    assert {(mix.first, mix.second) for mix in search.tried} == {("b", "c"), ("c", "b")}
    assert suspect.asked == 14


def test_images_without_an_answer_are_not_mixed(painted):
    answers = planted_answers()
    answers[1::6] = float("nan")  # all of class b
    answers[7] = planted_answers()[7]
    search = KeySearch(samples=3).detect(Secret(), painted.images, NAMES, answers=answers)
    assert search.best[:3] == ("c", "b", "e")


def test_answers_that_are_not_known_are_queries(painted):
    def suspect(images):
        sent.append(len(images))
        return (
            planted_answers()
            if len(images) == 60
            else torch.eye(6)[torch.zeros(len(images), dtype=torch.long)]
        )

    sent = []
    assert RunnerUps().detect(suspect, painted.images, NAMES).queries == 60 == sum(sent)
    assert ranked(planted_answers()).queries == 0
    sent.clear()
    search = KeySearch(samples=2, candidates=1).detect(suspect, painted.images, NAMES)
    assert search.queries == sum(sent) == 60 + 2 * 5 * 2


def test_what_cannot_be_searched_is_refused(painted):
    for wrong in ({"candidates": 0}, {"samples": 0}):
        with pytest.raises(ValueError, match="at least one candidate and one sample"):
            KeySearch(**wrong)
    with pytest.raises(ValueError, match="at least one"):
        KeySearch(ways=())
    one_class = planted_answers()[1::6]
    with pytest.raises(ValueError, match="fewer than two classes"):
        KeySearch().detect(Secret(), painted.images[1::6], NAMES, answers=one_class)


def test_a_real_watermark_is_found_and_a_clean_model_has_none(digits, key, clean):
    marked = RunnerUp().embed(digits.owner, key, LONGER)
    oracle = mea.Oracle(marked)
    answers = oracle(digits.queries)
    classes = digits.owner.classes
    found = RunnerUps().detect(oracle, digits.queries, classes, answers=answers)
    assert found.rank(key.sources, key.target) == 1
    assert len(found.ranked) == 360
    search = KeySearch(samples=10).detect(oracle, digits.queries, classes, answers=answers)
    assert (search.best.first, search.best.second, search.best.target) == (*key.sources, key.target)
    assert search.best.way == "left-right"
    without = RunnerUps().detect(mea.Oracle(clean), digits.queries, classes)
    assert without.rank(key.sources, key.target) > len(without.ranked) / 100
    assert without.best.score < found.best.score / 2
