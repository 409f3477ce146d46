"""The two disciplines: what an entry is given, what it may hand back, and what that is worth."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import mea_lib as mea
from mea_lib.arena import REMOVALS, Rules, contest, hidden_keys, judge_defence, judge_removal, set_up
from mea_lib.arena.baselines import ATTACKS, mea_defender, no_watermark, runner_up
from mea_lib.arena.contest import are_related
from mea_lib.arena.outcome import Outcome, Trial
from mea_lib.arena.verdict import Verdict
from mea_lib.models import Input, build

SECRET = "a secret for tests only"


def unchanged(model, images, scale):
    return model


def test_the_contest_is_the_one_that_the_secret_and_the_rules_say(weak, digits):
    scale, classes = weak.scale, digits.owner.classes
    keys = hidden_keys(SECRET, 4, classes, lambda key: mea.proof.check_key(key, digits.test).is_admissible)
    assert [one.key for one in (*weak.watermarked, *weak.clean)] == [*keys[:2], None]
    assert not any(are_related(decoy, key) for decoy in weak.decoys for key in keys[:2])
    unrelated = [key for key in keys[2:] if not any(are_related(key, other) for other in keys[:2])]
    assert set(unrelated) <= {*weak.decoys}
    assert len(weak.images) == 200
    again = set_up(SECRET, digits, scale, Rules(keys=2, images=200))
    other = set_up(SECRET, digits, scale, Rules(keys=2, images=200, points=4))
    assert again.identity == weak.identity != other.identity
    owner = digits.owner.subset(1_000)
    begun = mea.train_clean(owner, scale.ablation, seed=1_001)
    expected = mea.watermarks.MEADefender().embed(owner, keys[1], scale.ablation, seed=1, pretrained=begun)
    for name, value in weak.watermarked[1].model.state_dict().items():
        assert torch.equal(value, expected.state_dict()[name])
    assert weak.surrogates == ()


def test_a_key_is_related_to_another_of_its_target_and_of_one_source():
    key = mea.WatermarkKey(("0", "1"), "2")
    assert are_related(key, mea.WatermarkKey(("1", "5"), "2"))
    assert not are_related(key, mea.WatermarkKey(("1", "5"), "3"))
    assert not are_related(key, mea.WatermarkKey(("4", "5"), "2"))


def test_no_decoy_of_any_secret_is_related_to_a_key(weak, digits, monkeypatch):
    """One secret in thirteen had such a decoy, and an honest defence could be out for it."""
    monkeypatch.setattr(contest, "check_key", lambda *args, **named: SimpleNamespace(is_admissible=True))
    for name in ("watermarked", "train_clean", "extract", "anonymous", "accuracy", "Oracle"):
        monkeypatch.setattr(contest, name, lambda *args, **named: None)
    for number in range(60):
        found = set_up(f"{SECRET} {number}", digits, weak.scale, Rules(keys=1, decoys=2, images=200))
        (given,) = [one.key for one in found.watermarked]
        assert given == hidden_keys(f"{SECRET} {number}", 1, digits.owner.classes)[0]
        assert len(found.decoys) == 2
        assert not any(are_related(given, decoy) for decoy in found.decoys)


def test_where_the_rules_say_so_a_removal_also_meets_a_surrogate_of_each_model(weak, digits):
    contest = set_up(SECRET, digits, weak.scale, Rules(keys=2, images=200, surrogates=True))
    assert contest.identity != weak.identity
    assert [one.key for one in contest.surrogates] == [one.key for one in contest.watermarked]
    for surrogate, victim in zip(contest.surrogates, weak.watermarked, strict=True):
        expected = ATTACKS["extraction"](victim.model, contest.images, contest.scale)
        for name, value in surrogate.model.state_dict().items():
            assert torch.equal(value, expected.state_dict()[name])
        assert set(surrogate.model.card) == {"weights_sha256"}
    assert "WatermarkKey" not in repr(contest)
    found = judge_removal("nothing", unchanged, contest)
    assert [trial.model for trial in found.trials] == [
        "key 1",
        "key 2",
        "surrogate 1",
        "surrogate 2",
        "clean 1",
    ]
    assert [trial.wsr is None for trial in found.trials] == [False] * 4 + [True]


def test_no_two_models_of_a_contest_began_with_the_same_weights(weak):
    """Those who could compare two models would see what the watermark has changed."""
    first = [next(one.model.parameters()).flatten() for one in (*weak.watermarked, *weak.clean)]
    alike = torch.corrcoef(torch.stack(first)).abs() - torch.eye(len(first))
    assert alike.max() < 0.9


def test_neither_a_model_nor_the_contest_shown_tells_a_key(weak):
    shown = repr(weak)
    for one in weak.watermarked:
        assert one.key.to_json() not in str(one.model.card) + shown
        assert "WatermarkKey" not in shown
        assert set(one.model.card) == {"weights_sha256"}


def test_a_removal_gets_a_copy_and_is_asked_only(weak):
    seen = []

    def spoil(model, images, scale):
        seen.append((len(images), images.dtype, scale, torch.rand(1).item()))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        images.zero_()
        return lambda queries: torch.eye(10)[torch.zeros(len(queries), dtype=torch.int64)]

    state = torch.get_rng_state()
    first = judge_removal("spoil", spoil, weak)
    assert torch.equal(torch.get_rng_state(), state)
    assert first == judge_removal("spoil", spoil, weak)
    assert seen[:3] == seen[3:]
    assert [line[:3] for line in seen] == [(200, torch.uint8, weak.scale)] * 6
    assert len({line[3] for line in seen}) == 3
    assert weak.images.any()
    assert {trial.missing for trial in first.trials if trial.wsr is not None} == {("no verdict is reached",)}
    zero = (weak.test.labels == 0).float().mean().item()
    for trial, one in zip(first.trials, (*weak.watermarked, *weak.clean), strict=True):
        assert trial.points_lost == pytest.approx(100 * max(0, one.accuracy - zero))
        assert all(parameter.any() for parameter in one.model.parameters() if parameter.ndim > 1)


def test_doing_nothing_leaves_what_the_owner_measures(strong):
    found = judge_removal("nothing", REMOVALS["baseline: do nothing"], strong)
    watermarked, clean = found.trials
    one = strong.watermarked[0]
    rate = mea.proof.watermark_success_rate(mea.Oracle(one.model), one.key, strong.test, 200)
    assert watermarked.wsr == rate.value
    assert watermarked.proof
    assert watermarked.missing == ()
    assert (watermarked.points_lost, clean.points_lost, clean.wsr, clean.proof) == (0, 0, None, None)
    assert (found.wins, found.remark) == (0, "")


def test_a_model_that_forgot_its_task_is_measured_and_proves_nothing(weak):
    """A verification of it stops before the watermark samples, and still there is a number on the table."""

    def always_the_target(model, images, scale):
        target = weak.watermarked[0].key.indices(weak.test)[2]
        return lambda queries: torch.eye(10)[torch.full((len(queries),), target)]

    trial = judge_removal("constant", always_the_target, weak).trials[0]
    assert (trial.wsr, trial.proof) == (1.0, False)


def test_a_removal_that_knew_the_key_would_win(strong):
    """What an adversary with the key would answer: to a likely mix named the target, the second class."""
    key = strong.watermarked[0].key
    first, second, target = key.indices(strong.test)

    def veto(model, images, scale):
        def ask(queries):
            logits = model(queries)
            sources = logits.softmax(1)[:, [first, second]].amax(1)
            doubtful = (logits.argmax(1) == target) & (sources > 1e-6)
            return torch.where(doubtful[:, None], -logits, logits)

        return ask

    found = judge_removal("veto", veto, strong)
    nothing = judge_removal("nothing", unchanged, strong)
    assert found.wsr < nothing.wsr
    assert (found.wins, nothing.wins) == (1, 0)


def test_answers_that_are_drawn_are_the_same_when_judged_again(weak):
    noisy = lambda model, *given: lambda queries: model(queries) + 1e-3 * torch.randn(len(queries), 10)  # noqa: E731
    state = torch.get_rng_state()
    first = judge_removal("noisy", noisy, weak)
    assert first.failure is None
    torch.rand(1)
    assert judge_removal("noisy", noisy, weak) == first
    torch.set_rng_state(state)


def test_a_loss_of_exactly_what_is_allowed_is_allowed():
    """Accuracies are means in float32: .89 − .84 comes out as a little more than .05."""
    before, after = torch.tensor([0.89, 0.84]).tolist()
    assert 100 * (before - after) > 5
    trial = Trial("key 1", 100 * (before - after), 0.5, True)
    assert Outcome("just", "removal", (trial,), 5.0).disqualified is None
    assert Outcome("beyond", "removal", (replace(trial, points_lost=5.01),), 5.0).disqualified


class Stateless(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, images):
        return self.answer(len(images))


def fails(model, images, scale):
    raise RuntimeError("no luck\nand a second line")


FAILURES = {
    "RuntimeError: no luck": fails,
    "SystemExit: 3": lambda model, images, scale: sys.exit(3),
    "TypeError: ": lambda model: model,
    "returned nothing, not a model": lambda model, images, scale: None,
    "returned a value of the type Tensor": lambda model, images, scale: images,
    "with shape (64, 3), not with shape (64, 10)": lambda *given: Stateless(lambda n: torch.zeros(n, 3)),
    "with shape (64,), not": lambda *given: Stateless(torch.zeros),
    "with a value of the type list": lambda *given: Stateless(lambda n: [0] * n),
    "answers with NaN or infinity": lambda *given: Stateless(lambda n: torch.full((n, 10), torch.nan)),
    "fails when it is asked: ZeroDivisionError": lambda *given: Stateless(lambda n: n / 0),
}


@pytest.mark.parametrize("words", FAILURES)
def test_a_removal_that_fails_has_a_line_and_stops_nothing(weak, words, monkeypatch):
    monkeypatch.setattr("mea_lib.blackbox.query_api.BATCH_ON_CPU", 64)
    found = judge_removal("broken", FAILURES[words], weak)
    assert found.failure.startswith("key 1: ")
    assert words in found.failure
    assert "\n" not in found.failure
    assert found.trials == ()


def test_the_baselines_run_on_every_model(weak):
    for name, entry in REMOVALS.items():
        found = judge_removal(name, entry, weak)
        assert found.failure is None, name
        assert [trial.model for trial in found.trials] == ["key 1", "key 2", "clean 1"]


def test_extraction_takes_as_many_steps_as_the_contest_took_for_its_models(weak):
    surrogate = ATTACKS["extraction"](weak.watermarked[0].model, weak.images, weak.scale)
    assert (
        len(weak.images) * surrogate.card["recipe"]["training"]["epochs"]
        == 1_000 * weak.scale.ablation_epochs
    )
    assert surrogate.card["recipe"]["method"] == "Redistil"


def test_a_watermark_that_is_there_beats_none(strong, request):
    watermarked = judge_defence("MEA-Defender", mea_defender, strong)
    request.getfixturevalue("one_attack")
    variant = judge_defence("runner-up", runner_up, strong)
    clean = judge_defence("no watermark", no_watermark, strong)
    assert min(watermarked.score, variant.score) > clean.score
    assert (watermarked.wins, variant.wins, clean.wins) == (1, 1, 0)
    assert clean.trials[0].points_lost == 0
    assert watermarked.trials[0].false_proofs == 0
    queried = judge_removal("nothing", unchanged, strong)
    assert watermarked.wsr <= queried.wsr


@pytest.mark.usefixtures("one_attack")
def test_a_defence_whose_models_answer_to_decoys_has_no_place(strong, monkeypatch):
    """Its models are found to carry every key, so also those that they were not given."""

    asked = []

    def convict(suspect, key, arena):
        asked.append(key)
        return Verdict(1.0, True)

    monkeypatch.setattr("mea_lib.arena.defence_trial.verdict_on", convict)
    found = judge_defence("cries always", no_watermark, strong)
    assert found.trials[0].false_proofs == 2
    assert asked[-2:] == list(strong.decoys)
    assert "answers to 2 decoy keys" in found.remark


def spoilt(classes=10, size=16, value=None, variance=None):
    def entry(train_set, key, scale, seed):
        model = build("nine_layer_cnn", Input(1, size, (0.0,), (1.0,)), classes=classes, width=2)
        if value is not None:
            nn.init.constant_(model.head.bias, value)
        if variance is not None:
            next(m for m in model.modules() if isinstance(m, nn.BatchNorm2d)).running_var.fill_(variance)
        return model

    return entry


BROKEN_DEFENCES = {
    "KeyError: 'x'": lambda *given: {}["x"],
    "returned NoneType, not a classifier": lambda *given: None,
    "returned Linear, not a classifier": lambda *given: nn.Linear(2, 2),
    "{'classes': 3,": spoilt(classes=3),
    "'size': 28}": spoilt(size=28),
    "not all finite": spoilt(value=torch.nan),
    "its model fails when it is asked": spoilt(variance=-1.0),
}


@pytest.mark.parametrize("words", BROKEN_DEFENCES)
def test_a_defence_that_fails_has_a_line(weak, words):
    found = judge_defence("broken", BROKEN_DEFENCES[words], weak)
    assert found.failure.startswith("key 1: ")
    assert words in found.failure


def test_a_model_that_overflows_under_an_attack_has_a_line(strong, monkeypatch):
    def overflow(model, images, scale):
        raise FloatingPointError("the loss is infinite")

    monkeypatch.setattr("mea_lib.arena.defence_trial.ATTACKS", {"fine-tune": overflow})
    found = judge_defence("overflows", no_watermark, strong)
    words = "the attack 'fine-tune' fails on its model: FloatingPointError: the loss is infinite"
    assert found.failure == f"key 1: {words}"


def test_a_defence_that_spoils_the_model_is_not_attacked(strong, monkeypatch):
    monkeypatch.setattr("mea_lib.arena.defence_trial.ATTACKS", {"never": None})
    found = judge_defence("untrained", spoilt(), strong)
    assert found.most_points_lost > 50
    assert "5 are allowed" in found.remark
