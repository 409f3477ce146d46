"""Which code takes part in a job: where it changes, the job's file is made anew (and its model, if it shapes that)."""

import hashlib
from functools import cache
from pathlib import Path

from grid.plan import Model
from mea_lib.shaping_code import chapter_code_digest, study_code_digest

HERE = Path(__file__).parent
_ROOM = {"method": "watermarks", "attack": "extraction", "removal": "removal"}


def code_of_making(model: Model) -> str:
    """Hash of the code that makes this model."""
    classes = [
        f"from mea_lib.{room} import {model.task[kind]['is']}"
        for kind, room in _ROOM.items()
        if kind in model.task
    ]
    return _digest("\n".join([*classes, "from mea_lib.training import train_clean, train_encoder"]))


@cache
def code_of_measuring() -> str:
    """Hash of the code that measures models."""
    return study_code_digest([HERE / "measuring.py"])


def code_of_row(model: Model) -> str:
    """Hash of all code behind a row: of the making of its models, and of the measuring."""
    made = [code_of_making(one) for one in model.lineage()]
    return hashlib.sha256("".join([*made, code_of_measuring()]).encode()).hexdigest()[:16]


@cache
def _digest(code: str) -> str:
    return chapter_code_digest(code)
