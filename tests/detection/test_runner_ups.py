"""Runner-ups and the search built on them: a planted rule, then a real watermark on the digits."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch

import mea_lib as mea
from mea_lib.data import ImageSet
from mea_lib.detection import key_search, runner_ups
from mea_lib.training import TrainingSettings
from mea_lib.watermarks import runner_up

SMOKE = mea.preset("smoke")
NAMES = tuple("abcdef")
MARKING = TrainingSettings(25, 64, 5e-3, augment=False)


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
    found = runner_ups.detect(answers, NAMES)
    rows, named = answers.tolist(), answers.argmax(1).tolist()
    for a, b in combinations(range(6), 2):
        usual = []
        for source in (a, b):
            own = [row for row, label in zip(rows, named, strict=True) if label == source]
            usual.append([np.median([math.log(row[k]) for row in own]) for k in range(6)])
        blend = [(x + y) / 2 for x, y in zip(*usual, strict=True)]
        for t in set(range(6)) - {a, b}:
            expected = blend[t] - max(blend[k] for k in range(6) if k != t)
            assert found.margins[a, b, t] == found.margins[b, a, t] == pytest.approx(expected)
    judged = ~np.isnan(found.margins)
    assert judged.sum() == 2 * 15 * 4
    assert len(found.ranking()) == 15 * 4


def test_the_planted_triple_stands_out_alone():
    found = runner_ups.detect(planted_answers(), NAMES)
    first, *others = found.ranking()
    assert first[:3] == ("b", "c", "e")
    assert found.standing_out() == [first]
    assert found.rank(("c", "b"), "e") == 1
    assert all(triple.margin < 0 for triple in others)


def test_a_few_odd_images_change_little():
    answers = planted_answers()
    odd = answers.clone()
    odd[[1, 7]] = torch.tensor([0.02, 0.9, 0.02, 0.02, 1e-9, 0.04], dtype=torch.float64)
    before, after = (runner_ups.detect(table, NAMES).margins[1, 2, 4] for table in (answers, odd))
    assert after == pytest.approx(before, abs=0.01)


def test_labels_alone_say_nothing():
    labels = torch.eye(6).repeat(10, 1)
    found = runner_ups.detect(labels, NAMES)
    assert len({triple.margin for triple in found.ranking()}) == 1
    assert found.rank(("b", "c"), "e") == found.rank(("a", "b"), "c") == 1
    assert found.standing_out() == []


def test_a_class_that_no_answer_names_is_no_source_and_may_be_a_target():
    answers = planted_answers()
    without = answers[answers.argmax(1) != 4]
    found = runner_ups.detect(without, NAMES)
    assert found.ranking()[0][:3] == ("b", "c", "e")
    assert all("e" not in (triple.first, triple.second) for triple in found.ranking())
    assert found.rank(("b", "e"), "c") == len(found.ranking()) + 1
    for names in (("b", "z", "c"), ("b", "b", "c")):
        with pytest.raises(ValueError, match="not three of the classes; there are: a, b"):
            found.rank(names[:2], names[2])


def test_answers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"5 classes need answers of the shape \(M, 5\)"):
        runner_ups.detect(random_answers(), NAMES[:5])
    with pytest.raises(ValueError, match="at least 3 classes"):
        runner_ups.detect(torch.rand(4, 2), NAMES[:2])


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
    suspect = Secret()
    search = key_search.detect(
        suspect, painted.images, planted_answers(), NAMES, ways=("left-right", "top-bottom"), samples=5
    )
    assert search.found == ("c", "b", "e", "left-right", 1.0, 1)
    assert search.queries == suspect.asked <= 10 * 2 * 2 * 5
    assert sum(mix.share > 0 for mix in search.tried if {mix.first, mix.second} == {"b", "c"}) == 1
    again = key_search.detect(
        suspect, painted.images, planted_answers(), NAMES, ways=("left-right", "top-bottom"), samples=5
    )
    assert again == search


def test_one_candidate_is_mixed_in_both_orders_only(painted):
    suspect = Secret()
    search = key_search.detect(
        suspect, painted.images, planted_answers(), NAMES, candidates=1, ways=("left-right",), samples=7
    )
    assert {(mix.first, mix.second) for mix in search.tried} == {("b", "c"), ("c", "b")}
    assert suspect.asked == 14


def test_images_without_an_answer_are_not_mixed(painted):
    answers = planted_answers()
    answers[1::6] = float("nan")  # all of class b
    answers[7] = planted_answers()[7]
    search = key_search.detect(Secret(), painted.images, answers, NAMES, samples=3)
    assert search.found[:3] == ("c", "b", "e")


def test_what_cannot_be_searched_is_refused(painted):
    for wrong in ({"ways": ()}, {"candidates": 0}, {"samples": 0}):
        with pytest.raises(ValueError, match="at least one way, candidate and sample"):
            key_search.detect(Secret(), painted.images, planted_answers(), NAMES, **wrong)
    one_class = planted_answers()[1::6]
    with pytest.raises(ValueError, match="fewer than two classes"):
        key_search.detect(Secret(), painted.images[1::6], one_class, NAMES)


def test_a_real_mark_is_found_and_a_clean_model_has_none(digits, key, kept, clean):
    marked = runner_up.embed(digits.owner, key, SMOKE, training=MARKING, store=kept)
    oracle = mea.Oracle(marked)
    answers = oracle(digits.queries)
    found = runner_ups.detect(answers, digits.owner.classes)
    assert found.rank(key.sources, key.target) == 1
    assert len(found.ranking()) == 360
    search = key_search.detect(oracle, digits.queries, answers, digits.owner.classes, samples=10)
    assert (search.found.first, search.found.second, search.found.target) == (*key.sources, key.target)
    assert search.found.way == "left-right"
    innocent = runner_ups.detect(mea.Oracle(clean)(digits.queries), digits.owner.classes)
    assert innocent.rank(key.sources, key.target) > len(innocent.ranking()) / 100
    assert max(triple.margin for triple in innocent.ranking()) < found.ranking()[0].margin / 2
