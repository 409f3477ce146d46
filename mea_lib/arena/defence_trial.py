"""The discipline of defences: embed a watermark that survives extraction and removal, at little accuracy."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mea_lib.arena.entry import EntryFailed, call_entry, describe
from mea_lib.arena.house import ATTACKS
from mea_lib.arena.outcome import POINT_DECIMALS, Outcome, Trial
from mea_lib.arena.stage import Arena, anonymous
from mea_lib.arena.verdict import verdict_on
from mea_lib.blackbox import Oracle
from mea_lib.data import ImageSet, WatermarkKey
from mea_lib.models import ImageClassifier
from mea_lib.proof import accuracy
from mea_lib.scale import Scale

Defence = Callable[[ImageSet, WatermarkKey, Scale, int], ImageClassifier]


def judge_defence(name: str, entry: Defence, arena: Arena) -> Outcome:
    """Let a defence embed each hidden key in a model of its own, and attack what it made.

    Every model is attacked by `mea_lib.arena.house.ATTACKS`, and the attack that leaves the lowest WSR
    counts, unless it costs more accuracy than the rules allow: then it is no use to an adversary. The
    accuracy a defence loses is that against the mean of the arena's clean models. Its models are also
    verified with decoy keys, which they must not answer to: a model that calls every mix a match proves
    nothing. Where the defence itself costs more than the rules allow, it is not attacked.

    Args:
        name: of the entry, for the table.
        entry: `entry(train_images, key, scale, seed) -> model`, a classifier that `mea_lib.models.build` made, or
            whose `spec` says how it would: the attacks need its weights.
        arena: made by `set_up`.

    Returns:
        The outcome; an entry that fails with one key has no trials and says why.
    """
    allowed = arena.rules.points
    trials = []
    for seed, exhibit in enumerate(arena.marked):
        try:
            arguments = (arena.train, exhibit.key, arena.scale, seed)
            made = call_entry(entry, *arguments, seed=seed)
            trials.append(_trial(_classifier(made, arena), exhibit.name, exhibit.key, arena))
        except EntryFailed as failure:
            return Outcome(name, "defence", (), allowed, f"{exhibit.name}: {failure}")
    return Outcome(name, "defence", tuple(trials), allowed)


def _trial(model: ImageClassifier, name: str, key: WatermarkKey, arena: Arena) -> Trial:
    with _blamed("its model fails when it is asked"):
        own = accuracy(Oracle(model), arena.test)
        weakest, by = verdict_on(Oracle(model), key, arena), "none"
    clean = sum(exhibit.accuracy for exhibit in arena.clean) / len(arena.clean)
    lost = 100 * max(0.0, clean - own)
    for attack, run in ATTACKS.items() if round(lost, POINT_DECIMALS) <= arena.rules.points else ():
        with _blamed(f"the attack {attack!r} fails on its model"):
            attacked = run(anonymous(model), arena.images, arena.scale)
            cost = 100 * (own - accuracy(Oracle(attacked), arena.test))
            if round(cost, POINT_DECIMALS) > arena.rules.points:
                continue
            found = verdict_on(Oracle(attacked), key, arena)
        if found.mark < weakest.mark:
            weakest, by = found, attack
    with _blamed("its model fails when it is asked"):
        false = sum(verdict_on(Oracle(model), decoy, arena).proof for decoy in arena.decoys)
    return Trial(name, lost, weakest.mark, weakest.proof, by, false)


@contextmanager
def _blamed(what: str) -> Iterator[None]:
    """Errors within are the entry's: weights that are finite one by one may still answer with NaN or overflow."""
    try:
        yield
    except (ValueError, ArithmeticError, RuntimeError) as error:
        raise EntryFailed(f"{what}: {describe(error)}") from error


def _classifier(made: object, arena: Arena) -> ImageClassifier:
    """What a defence handed back, if it is a classifier of the arena's images with finite weights."""
    if not isinstance(made, ImageClassifier):
        raise EntryFailed(
            f"returned {type(made).__name__}, not a classifier as mea_lib.models.build makes it"
        )
    wanted = {"classes": len(arena.test.classes), "channels": arena.test.channels, "size": arena.test.size}
    found = {name: made.spec.get(name) for name in wanted}
    if found != wanted:
        raise EntryFailed(f"returned a classifier for {found}, not for {wanted}")
    if not all(value.isfinite().all() for value in made.state_dict().values()):
        raise EntryFailed("returned a classifier whose weights are not all finite")
    return made.eval()
