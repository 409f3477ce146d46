"""Knockoff: the bandit against a slow reading of the paper, the rewards by hand, the count of queries."""

import math

import pytest
import torch

import mea_lib as mea
from mea_lib.extraction import Distillation, Knockoff
from mea_lib.extraction.bandit import AnswerRewards, GradientBandit
from mea_lib.extraction.knockoff import ORIGINAL_TRAINING


def slow_bandit(actions, window, played):
    """Sec. 4.1.2 read line by line, in plain Python."""
    preferences, times, rewards = [0.0] * actions, [0] * actions, []
    for action, reward in played:
        total = sum(math.exp(h) for h in preferences)
        policy = [math.exp(h) / total for h in preferences]
        rewards.append(reward)
        recent = rewards[-window:]
        usual = sum(recent) / len(recent)
        times[action] += 1
        for other in range(actions):
            step = (reward - usual) / times[action]
            preferences[other] += step * (1 - policy[other]) if other == action else -step * policy[other]
    return preferences


def test_the_bandit_is_the_papers():
    generator = torch.Generator().manual_seed(0)
    played = [
        (int(torch.randint(4, (1,), generator=generator)), float(torch.rand(1, generator=generator)))
        for _ in range(60)
    ]
    bandit = GradientBandit(4, window=10)
    for action, reward in played:
        bandit.update(action, reward)
    assert bandit.preferences.tolist() == pytest.approx(slow_bandit(4, 10, played))
    assert bandit.policy.sum() == pytest.approx(1)


def test_the_bandit_comes_to_prefer_what_is_rewarded():
    bandit, generator = GradientBandit(3), torch.Generator().manual_seed(1)
    for _ in range(300):
        action = int(torch.multinomial(bandit.policy, 1, generator=generator))
        bandit.update(action, 1.0 if action == 2 else 0.0)
    assert bandit.policy.argmax() == 2


def test_rewards_by_hand():
    answers = [torch.tensor([0.7, 0.2, 0.1]), torch.tensor([0.1, 0.8, 0.1]), torch.tensor([0.5, 0.3, 0.2])]
    logits = torch.tensor([2.0, 0.0, 0.0])
    certainty = AnswerRewards(("certainty",))
    found = [certainty(answer, logits) for answer in answers]
    assert found == pytest.approx([0.0, 1.0, 0.0])  # 0.5, then 0.6 (the largest), then 0.2 (the least)
    diversity = AnswerRewards(("diversity",), window=1)
    found = [diversity(answer, logits) for answer in answers]
    raw = [1.0, 0.6, 0.5]  # against nothing, against the first, against the second
    low_high = [(1.0, 1.0), (0.6, 1.0), (0.5, 1.0)]
    expected = [(r - lo) / (hi - lo) if hi > lo else 0.0 for r, (lo, hi) in zip(raw, low_high, strict=True)]
    assert found == pytest.approx(expected)
    loss = AnswerRewards(("loss",))
    log_probabilities = logits.log_softmax(0)
    raw = [-(answer * log_probabilities).sum().item() for answer in answers]
    found = [loss(answer, logits) for answer in answers]
    assert found[1] == 1.0
    assert found[2] == pytest.approx((raw[2] - raw[0]) / (raw[1] - raw[0]))
    with pytest.raises(ValueError, match="certainty, diversity, loss"):
        AnswerRewards(("surprise",))


@pytest.mark.parametrize("strategy", ["random", "adaptive"])
@pytest.mark.parametrize(("queries", "budget", "asked"), [(150, None, 150), (None, 90, 90), (150, 90, 90)])
def test_no_more_is_sent_than_wanted_or_paid_for(tiny, digits, quick, strategy, queries, budget, asked):
    oracle = mea.Oracle(tiny, budget=budget)
    Knockoff(queries=queries, strategy=strategy).extract(oracle, digits.owner, quick)
    assert oracle.queries == asked


@pytest.mark.parametrize("batch", [1, 50])
def test_the_bandit_sends_every_image_once(tiny, digits, quick, batch):
    class Recorder(mea.Oracle):
        def __call__(self, images):
            seen.extend(image.numpy().tobytes() for image in images)
            return super().__call__(images)

    seen: list[bytes] = []
    pool = digits.owner.subset(120)
    Knockoff(strategy="adaptive", batch=batch).extract(Recorder(tiny), pool, quick)
    assert sorted(seen) == sorted(image.numpy().tobytes() for image in pool.images)


@pytest.mark.parametrize("strategy", ["random", "adaptive"])
def test_the_surrogate_agrees_with_its_victim(digits, victim, learning, strategy):
    surrogate = Knockoff(strategy=strategy).extract(mea.Oracle(victim), digits.owner, learning)
    ours, theirs = (mea.Oracle(model)(digits.test.images).argmax(1) for model in (surrogate, victim))
    assert (ours == theirs).float().mean() > 0.75


def test_the_same_seed_sends_the_same_queries(tiny, digits, quick):
    method = Knockoff(queries=100, strategy="adaptive")
    names = [method.extract(mea.Oracle(tiny), digits.owner, quick, seed=s).card["id"] for s in (0, 0, 1)]
    assert names[0] == names[1] != names[2]


@pytest.mark.parametrize("strategy", ["random", "adaptive"])
def test_its_surrogate_is_that_of_distillation_on_the_same_answers(tiny, digits, quick, store, strategy):
    method = Knockoff(queries=100, strategy=strategy)
    surrogate = method.extract(mea.Oracle(tiny), digits.owner, quick)
    images, answers = method.ask(mea.Oracle(tiny), digits.owner, quick, seed=0)
    plain = Distillation(temperature=1.0).train_surrogate(images, answers, quick)
    assert [card["id"] for card in store.cards()] == [surrogate.card["id"]] == [plain.card["id"]]
    assert (surrogate.attack["is"], surrogate.attack["strategy"]) == ("Knockoff", strategy)


def test_the_bandit_needs_classes_to_choose_among(tiny, digits, quick):
    with pytest.raises(TypeError, match="pass an ImageSet"):
        Knockoff(strategy="adaptive").extract(mea.Oracle(tiny), digits.owner.images, quick)
    assert Knockoff(queries=10).extract(mea.Oracle(tiny), digits.owner.images, quick)


def test_the_authors_training():
    assert (ORIGINAL_TRAINING.optimizer, ORIGINAL_TRAINING.learning_rate, ORIGINAL_TRAINING.momentum) == (
        "sgd",
        0.01,
        0.5,
    )
    assert (ORIGINAL_TRAINING.step_epochs, ORIGINAL_TRAINING.step_factor, ORIGINAL_TRAINING.epochs) == (
        60,
        0.1,
        100,
    )


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="unknown strategy"):
        Knockoff(strategy="greedy")
    for name in ("queries", "window", "batch"):
        with pytest.raises(ValueError, match=name):
            Knockoff(**{name: 0})
