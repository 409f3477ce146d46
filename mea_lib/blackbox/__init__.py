"""A model seen from outside: what may be asked of it, what it answers, and what that costs.

May import scale, data, models, losses and training.
"""

from mea_lib.blackbox.oracle import BudgetSpent, Oracle, Query

__all__ = ["BudgetSpent", "Oracle", "Query"]
