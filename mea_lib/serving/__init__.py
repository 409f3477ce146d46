"""A model behind HTTP, and the client of one: the Open Inference Protocol, budgets, and the log of both sides.

Needs the extra mea-lib[service].
"""

from importlib import import_module
from typing import Any

from mea_lib.serving.query_log import QueryLog

# Found when it is first named, since it needs the extra.
_LATE = {"RemoteOracle": "remote"}

__all__ = ["QueryLog", "RemoteOracle"]


def __getattr__(name: str) -> Any:
    if name in _LATE:
        return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
