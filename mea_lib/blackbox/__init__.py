"""A model seen from outside: what queries it takes, what it answers, and what that costs.

May import scale, data, models, losses and training.
"""

from importlib import import_module
from typing import Any

from mea_lib.blackbox.anomaly_filter import AnomalyFilter
from mea_lib.blackbox.feature_oracle import FeatureOracle
from mea_lib.blackbox.in_order import in_order
from mea_lib.blackbox.levelled_answers import LevelledAnswers
from mea_lib.blackbox.marked_answers import MarkedAnswers
from mea_lib.blackbox.marked_labels import MarkedLabels
from mea_lib.blackbox.oracle import Oracle
from mea_lib.blackbox.query_api import BudgetSpent, Query, QueryAPI
from mea_lib.blackbox.query_log import QueryLog
from mea_lib.blackbox.suspect import Suspect, as_suspect
from mea_lib.blackbox.suspect_error import SuspectError

# Found when it is first named, since it needs the extra mea-lib[service].
_LATE = {"RemoteOracle": "remote"}

__all__ = [
    "AnomalyFilter",
    "BudgetSpent",
    "FeatureOracle",
    "LevelledAnswers",
    "MarkedAnswers",
    "MarkedLabels",
    "Oracle",
    "Query",
    "QueryAPI",
    "QueryLog",
    "RemoteOracle",
    "Suspect",
    "SuspectError",
    "as_suspect",
    "in_order",
]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
