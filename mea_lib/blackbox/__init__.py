"""A model seen from outside: what queries it takes, what it answers, and what that costs."""

from mea_lib.blackbox.answers import AnswerFormat
from mea_lib.blackbox.in_order import in_order
from mea_lib.blackbox.oracle import FeatureOracle, Oracle
from mea_lib.blackbox.preprocess import Pixels
from mea_lib.blackbox.query_api import BudgetSpent, Query, QueryAPI
from mea_lib.blackbox.suspect import Suspect, SuspectError, as_suspect

__all__ = [
    "AnswerFormat",
    "BudgetSpent",
    "FeatureOracle",
    "Oracle",
    "Pixels",
    "Query",
    "QueryAPI",
    "Suspect",
    "SuspectError",
    "as_suspect",
    "in_order",
]
