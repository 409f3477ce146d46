"""Rows of results/ that still hold: of the same models, made and measured by the same code. They are not made again."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grid.code import code_of_row
from grid.plan import Model, Plan

Place = tuple[str, str]  # stage and name of a row's model


def kept_rows(plan: Plan, results: Path) -> dict[Place, dict[str, Any]]:
    """What an earlier run of the study left, here or on another machine.

    Args:
        plan: of the whole study.
        results: its results/<study>.json, which need not be there.

    Returns:
        by the place of their models, the rows whose model this plan has too, and whose code is the present one.
    """
    if not results.exists():
        return {}
    found = json.loads(results.read_text(encoding="utf-8"))["runs"]
    by_name = {(row.get("stage"), row.get("name")): row for row in found}
    return {
        place_of(model): by_name[place_of(model)]
        for model in plan.rows
        if by_name.get(place_of(model), {}).get("code") == code_of_row(model)
    }


def place_of(model: Model) -> Place:
    """Where a model stands in a plan."""
    return model.stage, model.name


def signed(row: Mapping[str, Any], model: Model) -> dict[str, Any]:
    """A row that can be kept: with the name of its model and the hash of its code."""
    return {**row, "name": model.name, "code": code_of_row(model)}
