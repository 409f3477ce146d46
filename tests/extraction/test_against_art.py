"""The Jacobian step and Knockoff against adversarial-robustness-toolbox (ART), which nobody here wrote.

Of Knockoff's rewards and updates (Orekondy et al. 2019, Sec. 4.1.2) ART reads some otherwise than we do; a test
says of each what ART does, what we do, and how one follows from the other.
"""

import copy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import mea_lib as mea
from mea_lib.extraction import Knockoff, knockoff
from mea_lib.extraction.bandit import REWARDS, AnswerRewards, GradientBandit
from mea_lib.models import build_from_spec
from mea_lib.training.sign_step import sign_step

STEPS = 150


@pytest.fixture(scope="module")
def art(tmp_path_factory):
    """What is used of ART. Its import writes settings into the home folder, and so is lent another one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        from art.attacks.evasion import FastGradientMethod
        from art.attacks.extraction import KnockoffNets
        from art.estimators.classification import PyTorchClassifier

    def classifier(model, loss=None, optimizer=None):
        return PyTorchClassifier(
            model,
            loss or nn.CrossEntropyLoss(),
            input_shape=(1, 16, 16),
            nb_classes=10,
            optimizer=optimizer,
            clip_values=(0.0, 1.0),
            device_type="cpu",
        )

    return SimpleNamespace(step=FastGradientMethod, knockoff=KnockoffNets, classifier=classifier)


@pytest.fixture(autouse=True)
def own_random_numbers():
    """ART draws from torch's global generator, which other tests find as they left it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def pixels_of(images):
    """(N, C, H, W) uint8 → float32 in [0, 1], as ART takes them."""
    return images.numpy().astype(np.float32) / 255


def own_logit(logits, labels):
    """What the Jacobian step raises, as a loss for ART; labels are one-hot (N, K)."""
    return (logits * labels).sum()


@pytest.mark.parametrize("step", [0.03, 8 / 255, 0.1, 0.25, 1.0])
def test_the_jacobian_step_is_arts_fast_gradient_of_the_victims_logit(art, tiny, digits, step):
    """Equal in every pixel: after 0.1, which is 25.5 grey levels and ends half-way, and without a gradient too."""
    images, labels = digits.owner.images[:200], digits.owner.labels[:200]
    ours = sign_step(tiny, images, labels, step)
    attack = art.step(art.classifier(tiny, own_logit), norm=np.inf, eps=step, batch_size=200)
    moved = attack.generate(pixels_of(images), F.one_hot(labels, 10).numpy())
    assert torch.equal(ours, torch.from_numpy(moved).mul(255).round().to(torch.uint8))
    assert min((ours > images).float().mean(), (ours < images).float().mean()) > 0.1


def linear(scale=1.0):
    """A model with logits `scale` times as large as those of a new one."""
    layer = nn.Linear(256, 10)
    nn.init.normal_(layer.weight, std=scale / 16)
    return nn.Sequential(nn.Flatten(), layer)


@pytest.fixture
def play(art, digits, monkeypatch):
    """ART's adaptive adversary, watched: what they chose, were answered and were rewarded."""

    def play(reward, victim, script=None):
        numbers = np.random.RandomState(0)
        seen = SimpleNamespace(policies=[], actions=[], images=[], answers=[], guesses=[], rewards=[])
        surrogate = linear()
        seen.new_surrogate = copy.deepcopy(surrogate)
        attack = art.knockoff(
            art.classifier(victim),
            batch_size_fit=64,
            nb_epochs=1,
            nb_stolen=STEPS,
            sampling_strategy="adaptive",
            reward=reward,
            verbose=False,
        )
        sample_data, rewarded = attack._sample_data, attack._reward

        def choice(options, *rest, p=None, **named):
            if p is not None:
                seen.policies.append(p.copy())
            return numbers.choice(options, *rest, p=p, **named)

        def record_action(x, y, action):
            seen.actions.append(int(action))
            seen.images.append(sample_data(x, y, action))
            return seen.images[-1]

        def record_reward(answer, guess, number):
            seen.answers.append(torch.from_numpy(answer[0].copy()))
            seen.guesses.append(torch.from_numpy(guess[0].copy()))
            value = script[number - 1] if script else rewarded(answer, guess, number)
            seen.rewards.append(float(value))
            return value

        monkeypatch.setattr("numpy.random.choice", choice)
        monkeypatch.setattr(attack, "_sample_data", record_action)
        monkeypatch.setattr(attack, "_reward", record_reward)
        learner = art.classifier(surrogate, optimizer=torch.optim.SGD(surrogate.parameters(), lr=0.05))
        attack.extract(
            pixels_of(digits.owner.images), digits.owner.labels.numpy(), thieved_classifier=learner
        )
        return seen

    return play


def test_the_bandit_learns_what_arts_does_while_its_window_is_not_full(play):
    """Both lower the actions not taken by π; the paper's plus would raise them with the one that was."""
    seen = play("cert", nn.Sequential(linear(8.0), nn.Softmax(1)))
    bandit = GradientBandit(10, window=STEPS)
    for policy, action, reward in zip(seen.policies, seen.actions, seen.rewards, strict=True):
        assert bandit.policy.numpy() == pytest.approx(policy, abs=1e-6)  # ART counts in float32
        bandit.update(action, reward)
    assert abs(bandit.policy - 0.1).max() > 0.05


def test_the_usual_reward_is_that_of_the_last_steps_and_arts_that_of_all(play):
    """Where every reward is the same for Δ steps none is better than usual; ART goes on learning from older ones."""
    window, change = 20, 50
    seen = play("cert", linear(), script=[0.0] * change + [1.0] * (STEPS - change))
    bandit = GradientBandit(10, window)
    policies = []
    for action, reward in zip(seen.actions, seen.rewards, strict=True):
        policies.append(bandit.policy)
        bandit.update(action, reward)
    usual_again = change + window
    assert not torch.equal(policies[change], policies[usual_again])
    assert all(torch.equal(policy, bandit.policy) for policy in policies[usual_again:])
    assert abs(seen.policies[usual_again] - seen.policies[-1]).max() > 0.01


def rescaled(values):
    """Each brought to [0, 1] by the least and the largest so far, slowly."""
    ends = [(min(values[: n + 1]), max(values[: n + 1])) for n in range(len(values))]
    return [
        (value - low) / (high - low) if high > low else 0.0
        for value, (low, high) in zip(values, ends, strict=True)
    ]


def our_rewards(names, answers, guesses):
    rewards = AnswerRewards(names, window=STEPS)
    return [rewards(answer, guess) for answer, guess in zip(answers, guesses, strict=True)]


def test_certainty_is_arts(play):
    seen = play("cert", nn.Sequential(linear(8.0), nn.Softmax(1)))
    assert our_rewards(("certainty",), seen.answers, seen.guesses) == pytest.approx(
        rescaled(seen.rewards), abs=1e-5
    )


def test_diversity_is_arts_but_for_the_answer_itself_which_art_counts_among_the_last(play):
    """With y_n in it the mean of n answers is (n − 1)/n as far from y_n; ours of no answers is 0."""
    seen = play("div", nn.Sequential(linear(8.0), nn.Softmax(1)))
    assert seen.rewards[0] == 0
    against_the_others = [1.0] + [n / (n - 1) * seen.rewards[n - 1] for n in range(2, STEPS + 1)]
    assert our_rewards(("diversity",), seen.answers, seen.guesses) == pytest.approx(
        rescaled(against_the_others), abs=1e-5
    )


def test_loss_is_arts_of_a_victim_that_answers_logits(play):
    seen = play("loss", linear(8.0))
    answers = [logits.softmax(0) for logits in seen.answers]
    assert our_rewards(("loss",), answers, seen.guesses) == pytest.approx(rescaled(seen.rewards), abs=1e-5)


def test_art_takes_the_loss_of_logits_and_the_certainty_of_probabilities_from_one_answer(play):
    """So it softens probabilities once more before the loss; ours is the cross-entropy to the answer as it is."""
    seen = play("loss", nn.Sequential(linear(8.0), nn.Softmax(1)))
    as_they_are, softened = (
        [F.cross_entropy(guess, answer).item() for guess, answer in zip(seen.guesses, answers, strict=True)]
        for answers in (seen.answers, [answer.softmax(0) for answer in seen.answers])
    )
    assert seen.rewards == pytest.approx(softened, abs=1e-5)
    assert our_rewards(("loss",), seen.answers, seen.guesses) == pytest.approx(
        rescaled(as_they_are), abs=1e-5
    )
    assert np.corrcoef(as_they_are, softened)[0, 1] < 0.9


def test_several_rewards_are_rescaled_to_0_and_1_as_in_the_paper_where_art_standardises(play):
    seen = play("all", linear(8.0))
    answers = [logits.softmax(0) for logits in seen.answers]
    together = our_rewards(REWARDS, answers, seen.guesses)
    alone = [our_rewards((name,), answers, seen.guesses) for name in REWARDS]
    assert together == pytest.approx(np.mean(alone, 0))
    assert 0 <= min(together) < max(together) <= 1
    assert min(seen.rewards) < -0.5


def test_the_loss_is_the_surrogates_before_it_learns_the_answer_and_arts_after(
    play, tiny, digits, quick, monkeypatch
):
    """What the surrogate says of an image that it was just taught tells little of what it lacked."""
    seen = play("loss", linear(8.0))
    before = seen.new_surrogate(torch.from_numpy(seen.images[0])[None])
    answer = seen.answers[0].softmax(0)[None]
    assert seen.rewards[0] < 0.9 * F.cross_entropy(before, answer)

    asked, guesses = [], []

    class WatchedOracle(mea.Oracle):
        def __call__(self, images):
            asked.append(images)
            return super().__call__(images)

    class WatchedRewards(AnswerRewards):
        def __call__(self, answer, surrogate_logits):
            guesses.append(surrogate_logits)
            return super().__call__(answer, surrogate_logits)

    monkeypatch.setattr(knockoff, "AnswerRewards", WatchedRewards)
    method = Knockoff(queries=8, strategy="adaptive", batch=8)
    method.extract(WatchedOracle(tiny), digits.owner, quick.but(width=2))
    new_surrogate = build_from_spec(tiny.spec).train()
    assert torch.allclose(torch.stack(guesses), new_surrogate(asked[0]), atol=1e-3)


def test_a_random_knockoff_is_as_good_a_surrogate_as_arts(art, digits, learning, monkeypatch):
    """Of a victim so unsure (p₁ = 0.35) that a surrogate of hard labels ends 0.5 from it in total variation.

    Over five seeds each surrogate was 0.08 to 0.10 from it, with differences of up to 0.02 within a pair;
    they agreed with it on 70 to 87 % of the images, with differences of up to 11 points.
    """
    victim = mea.train_clean(digits.owner, learning.owner_but(epochs=2)).cpu()
    constant, training = learning.adversary_but(schedule="constant"), learning.adversary
    surrogate = Knockoff(queries=640).extract(mea.Oracle(victim), digits.owner, constant)
    network = build_from_spec(victim.spec, seed=1)
    learner = art.classifier(
        network, optimizer=torch.optim.AdamW(network.parameters(), training.learning_rate)
    )
    attack = art.knockoff(
        art.classifier(nn.Sequential(victim, nn.Softmax(1))),
        batch_size_fit=training.batch_size,
        nb_epochs=training.epochs,
        nb_stolen=640,
        use_probability=True,
        verbose=False,
    )
    monkeypatch.setattr("numpy.random.choice", np.random.RandomState(0).choice)
    attack.extract(pixels_of(digits.owner.images), thieved_classifier=learner)

    expected, *answers = (
        mea.Oracle(model)(digits.test.images).cpu() for model in (victim, surrogate, network)
    )
    distance = [(own - expected).abs().sum(1).mean().item() / 2 for own in answers]
    assert max(distance) < 0.2
    assert abs(distance[0] - distance[1]) < 0.05
    agreement = [(own.argmax(1) == expected.argmax(1)).float().mean().item() for own in answers]
    assert abs(agreement[0] - agreement[1]) < 0.2
