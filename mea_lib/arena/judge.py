"""What both disciplines have in common: a trial for each model, or the reason why an entry failed."""

from collections.abc import Callable, Iterable

from mea_lib.arena.contest import Contest, ContestModel
from mea_lib.arena.entry import EntryFailed
from mea_lib.arena.outcome import Outcome, Trial


def judge(
    name: str,
    discipline: str,
    models: Iterable[ContestModel],
    contest: Contest,
    trial: Callable[[ContestModel, int], Trial],
) -> Outcome:
    """The outcome of an entry.

    Args:
        name: of the entry.
        discipline: "removal" or "defence".
        models: of the contest, on which it is tried.
        contest: its rules.
        trial: `trial(model, seed)`; it raises EntryFailed where the entry is to blame.
    """
    allowed, trials = contest.rules.points, []
    for seed, model in enumerate(models):
        try:
            trials.append(trial(model, seed))
        except EntryFailed as failure:
            return Outcome(name, discipline, (), allowed, f"{model.name}: {failure}")
    return Outcome(name, discipline, tuple(trials), allowed)
