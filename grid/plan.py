"""From a study to its jobs: the models it needs, each once, by stage, with what each is made from."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from grid.only import in_part
from grid.study import AXES, STAGES, Grid, Study

_SHORT = {"temperature": "T", "times": "x", "owner_times": "owner-x", "part": "1in"}


@dataclass(frozen=True)
class Model:
    """One model of a study, and the job that makes it.

    Attributes:
        stage: "clean", or one of `STAGES`.
        name: for people and for files; ends with a hash of all that decides the model.
        about: the values of its axes and the seed, as its row has them; of the stages before it too.
        task: what the job is told, in values that JSON knows.
        parent: what a surrogate or a removal takes its answers or weights from, and a pretrained victim starts from.
        twin: the clean model of the same owner, seed and network, to compare with.
    """

    stage: str
    name: str
    about: Mapping[str, Any]
    task: Mapping[str, Any]
    parent: "Model | None" = None
    twin: "Model | None" = None

    def lineage(self) -> Iterator["Model"]:
        """The model, and those that have to be made and measured before its row can be."""
        for other in (self.parent, self.twin):
            if other is not None:
                yield from other.lineage()
        yield self


@dataclass(frozen=True)
class Plan:
    """All models of a study, and those among them that are its rows.

    Attributes:
        models: by stage and name; whatever one is made from stands before it.
        rows: seed by seed, so that an early look is at all cases.
    """

    models: Mapping[tuple[str, str], Model]
    rows: tuple[Model, ...]

    def of_stage(self, stage: str) -> list[Model]:
        """The models of a stage."""
        return [model for model in self.models.values() if model.stage == stage]


def plan_of(study: Study, only: str = "") -> Plan:
    """The plan of a study, or of a part of it.

    Args:
        study: what is studied.
        only: such as "seed=0; method=MEA-Defender,runner-up; times=1": rows with other values are left out, and so is
            everything that only they need.

    Raises:
        BadStudy: where nothing is left, or for an axis that no row has.
    """
    rows = {}
    for grid in study.grids:
        for row in _rows(study, grid):
            rows.setdefault((row.stage, row.name), row)
    found = tuple(sorted(rows.values(), key=lambda row: row.about["seed"]))
    wanted = in_part([row.about for row in found], only, study.name)
    found = tuple(row for row, is_wanted in zip(found, wanted, strict=True) if is_wanted)
    models = {(model.stage, model.name): model for row in found for model in row.lineage()}
    return Plan(models, found)


def _rows(study: Study, grid: Grid) -> Iterator[Model]:
    last = [stage for stage in STAGES if stage in grid.axes][-1]
    for seed in grid.seeds:
        for victim_values in _product("victim", grid):
            victim = _victim(study, victim_values, seed)
            if last == "victim":
                yield victim
                continue
            sources = [victim]
            if "surrogate" in grid.axes:
                sources = [_surrogate(study, victim, values) for values in _product("surrogate", grid)]
            if last == "surrogate":
                yield from sources
                continue
            for source in sources:
                for values in _product("removal", grid):
                    yield _removed(study, source, values)


def _product(stage: str, grid: Grid) -> Iterator[dict[str, Any]]:
    axes = {axis: grid.axes[stage].get(axis, (usual,)) for axis, usual in AXES[stage].items()}
    for values in product(*axes.values()):
        yield dict(zip(axes, values, strict=True))


def _victim(study: Study, values: dict[str, Any], seed: int) -> Model:
    method = study.methods[values["method"]]
    if values["pretrained"] is None:
        values["pretrained"] = bool(method.get("pretrained"))
    owner = {name: values[name] for name in ("network", "owner_augment", "owner_times")}
    twin = _model(study, "clean", owner | {"seed": seed}, {})
    key = study.keys[values["key"]]
    task = {
        "method": {name: value for name, value in method.items() if name != "pretrained"},
        "key": {"sources": key["sources"], "target": key["target"], "combine": values["combine"], "seed": 7},
        "twin": twin.name,
    }
    parent = twin if values["pretrained"] else None
    return _model(study, "victim", values | {"seed": seed}, task, parent, twin)


def _surrogate(study: Study, victim: Model, values: dict[str, Any]) -> Model:
    attack = dict(study.attacks[values["attack"]])
    if values["temperature"] is not None:
        attack["temperature"] = values["temperature"]
    about = dict(victim.about) | values
    return _model(
        study, "surrogate", about, {"attack": attack, "key": victim.task["key"]}, victim, victim.twin
    )


def _removed(study: Study, source: Model, values: dict[str, Any]) -> Model:
    task = {"removal": study.removals[values["removal"]], "key": source.task["key"]}
    return _model(study, "removal", dict(source.about) | values, task, source, source.twin)


def _model(
    study: Study,
    stage: str,
    about: dict[str, Any],
    task: dict[str, Any],
    parent: Model | None = None,
    twin: Model | None = None,
) -> Model:
    """The model with its task, which says all that decides it, and a name from that."""
    whole = {
        "stage": stage,
        "data": study.data,
        "size": study.size,
        "scale": study.scale,
        "changes": dict(study.changes),
        "encoders": study.encoders,
        "about": about,
        "parent": parent.name if parent else None,
        **task,
    }
    digest = hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()[:10]
    return Model(stage, f"{_slug(stage, about)}-{digest}", about, whole, parent, twin)


def _slug(stage: str, about: Mapping[str, Any]) -> str:
    """What is unusual about a model, in few words that a file name may have."""
    usual = {axis: value for axes in AXES.values() for axis, value in axes.items()}
    words = [f"seed{about['seed']}"] if "seed" in about else []
    for axis, value in about.items():
        if axis != "seed" and value != usual[axis] and (axis, value) != ("pretrained", False):
            said = axis if value is True else f"{_SHORT[axis]}{value:g}" if axis in _SHORT else str(value)
            words.append(f"no-{axis}" if value is False else said)
    return "-".join([stage[0], *(re.sub(r"[^A-Za-z0-9.]+", "-", word).strip("-") for word in words)])[:120]
