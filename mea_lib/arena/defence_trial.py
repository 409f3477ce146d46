"""The discipline of defences: embed a watermark that survives extraction and removal, at little accuracy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mea_lib.arena.baselines import ATTACKS
from mea_lib.arena.contest import Contest, ContestModel, anonymous
from mea_lib.arena.defence_spec import check_form
from mea_lib.arena.entry import EntryFailed, call_entry, checked_classifier, describe
from mea_lib.arena.judge import judge
from mea_lib.arena.outcome import POINT_DECIMALS, Outcome, Trial
from mea_lib.arena.verdict import verdict_on
from mea_lib.blackbox import Oracle
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.proof import accuracy
from mea_lib.scale import Scale

Defence = Callable[[ImageSet, WatermarkKey, Scale, int], ImageClassifier]


def judge_defence(name: str, entry: Defence, contest: Contest) -> Outcome:
    """Let a defence embed each hidden key in a model of its own, and attack what it made.

    Every model is attacked by `mea_lib.arena.baselines.ATTACKS`, and the attack that leaves the lowest WSR
    counts, unless it costs more accuracy than the rules allow: then it is no use to an adversary. The
    accuracy a defence loses is that against the mean of the contest's clean models. Its models are also
    verified with decoy keys, which they must not answer to: a model that calls every mix a match proves
    nothing. Where the defence itself costs more than the rules allow, it is not attacked.

    Args:
        name: of the entry, for the table.
        entry: `entry(train_images, key, scale, seed) -> model`, a classifier that `mea_lib.models.build` made, or
            whose `spec` says how it would: the attacks need its weights.
        contest: made by `set_up`.

    Returns:
        The outcome; an entry that fails with one key has no trials and says why.
    """

    def trial(model: ContestModel, seed: int) -> Trial:
        made = call_entry(entry, contest.train, model.key, contest.scale, seed, seed=seed)
        return _trial(_finite_classifier(made, contest), model.name, model.key, contest)

    return judge(name, "defence", contest.watermarked, contest, trial)


def _trial(model: ImageClassifier, name: str, key: WatermarkKey, contest: Contest) -> Trial:
    with _blamed("its model fails when it is asked"):
        before = accuracy(Oracle(model), contest.test)
        weakest, by = verdict_on(Oracle(model), key, contest), "none"
    clean = sum(model.accuracy for model in contest.clean) / len(contest.clean)
    lost = 100 * max(0.0, clean - before)
    for attack, run in ATTACKS.items() if round(lost, POINT_DECIMALS) <= contest.rules.points else ():
        with _blamed(f"the attack {attack!r} fails on its model"):
            attacked = run(anonymous(model), contest.images, contest.scale)
            cost = 100 * (before - accuracy(Oracle(attacked), contest.test))
            if round(cost, POINT_DECIMALS) > contest.rules.points:
                continue
            verdict = verdict_on(Oracle(attacked), key, contest)
        if verdict.wsr < weakest.wsr:
            weakest, by = verdict, attack
    with _blamed("its model fails when it is asked"):
        false = sum(verdict_on(Oracle(model), decoy, contest).proof for decoy in contest.decoys)
    return Trial(name, lost, weakest.wsr, weakest.proof, by, false, weakest.missing)


@contextmanager
def _blamed(what: str) -> Iterator[None]:
    """Errors within are the entry's: weights that are finite one by one may still answer with NaN or overflow."""
    try:
        yield
    except (ValueError, ArithmeticError, RuntimeError) as error:
        raise EntryFailed(f"{what}: {describe(error)}") from error


def _finite_classifier(made: object, contest: Contest) -> ImageClassifier:
    """What a defence handed back, if it is a classifier of the contest's images with finite weights."""
    model = checked_classifier(made)
    check_form(model.spec, contest.test)
    if not all(value.isfinite().all() for value in model.state_dict().values()):
        raise EntryFailed("returned a classifier whose weights are not all finite")
    return model.eval()
