"""A contest with hidden keys: a removal or a defence is a function, and a judge who alone knows the keys ranks it."""

from mea_lib.arena.baselines import DEFENCES, REMOVALS
from mea_lib.arena.contest import Contest, ContestModel, set_up
from mea_lib.arena.defence_trial import judge_defence
from mea_lib.arena.hidden_keys import hidden_keys, new_secret
from mea_lib.arena.outcome import Outcome, Trial
from mea_lib.arena.removal_trial import judge_removal
from mea_lib.arena.rules import Rules
from mea_lib.arena.standings import Standing, standings
from mea_lib.arena.table_file import ResultsTable

__all__ = [
    "DEFENCES",
    "REMOVALS",
    "Contest",
    "ContestModel",
    "Outcome",
    "ResultsTable",
    "Rules",
    "Standing",
    "Trial",
    "hidden_keys",
    "judge_defence",
    "judge_removal",
    "new_secret",
    "set_up",
    "standings",
]
