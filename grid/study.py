"""A study as its configuration says it: what is varied, over which seeds, at which scale; checked before anything runs.

Only the standard library, PyYAML and the package's names are needed, so that a plan can be printed without torch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from mea_lib.names import CLASSES, DATA_SETS, NETWORKS, SCHEMES

FOLDER = Path(__file__).parent / "studies"
ALL = "all"
STAGES = ("victim", "surrogate", "removal")
# What can be varied at each stage, and what holds where a grid does not say.
AXES: dict[str, dict[str, Any]] = {
    "victim": {
        "method": None,
        "key": None,
        "combine": "crop-paste",
        "pretrained": None,  # whether on from the clean model of the same seed; None as its method says
        "network": None,  # the scale's
        "owner_augment": None,  # the scale's
        "owner_times": 1,  # the owner's epochs, in units of the scale's
    },
    "surrogate": {
        "attack": None,
        "temperature": None,  # the attack's own
        "answers": "soft",
        "augment": None,  # whether the queries are mirrored and shifted; None as the scale does
        "times": 1,  # the adversary's epochs, in units of the scale's
        "part": 1,  # one image in so many is queried, for as many training steps
        "images": "adversary",  # whose
        "surrogate_network": None,  # the scale's
    },
    "removal": {"removal": None},
}
NAMED = {"method": "methods", "key": "keys", "attack": "attacks", "removal": "removals"}
CHOICES: dict[str, Sequence[Any]] = {
    "combine": SCHEMES,
    "network": (None, *NETWORKS),
    "surrogate_network": (None, *NETWORKS),
    "answers": ("soft", "hard"),
    "images": ("adversary", "owner"),
    "pretrained": (None, False, True),
    "owner_augment": (None, False, True),
    "augment": (None, False, True),
}
# Data sets of the paper that the package does not fetch: MEA_DATA names a folder that holds train/<class>/* in one.
OWN_DATA = ("youtube-face",)
SCALES = ("smoke", "laptop", "colab", "paper")


@dataclass(frozen=True)
class Grid:
    """Every combination of these values, stage by stage; the models of the last stage are the rows.

    Attributes:
        seeds: of this grid.
        axes: by stage, then by axis, the values; an axis that is not named has its usual one.
    """

    seeds: tuple[int, ...]
    axes: Mapping[str, Mapping[str, tuple[Any, ...]]]


@dataclass(frozen=True)
class Study:
    """What is studied.

    Attributes:
        name: of the file, and of the results.
        about: one sentence for the reader of the table.
        scale: whose trainings these are, one of `SCALES`.
        data: one of the package's data sets.
        grids: what is varied.
        seeds: of the victims; a surrogate has its victim's.
        keys: by name, sources and target.
        methods, attacks, removals: by name, a class of the package ("is") and its settings; a method may also say
            whether it is "pretrained" where a grid does not.
        size: height and width in pixels to which images are brought; None leaves them.
        changes: fields of the scale that are otherwise here, as `benchmarks.study.changed` takes them.
        encoders: whether the models are encoders, which are measured through a linear probe.
        waiting: rows of the paper that wait for a method which the package does not have, each with the reason.
    """

    name: str
    about: str
    scale: str
    data: str
    grids: tuple[Grid, ...]
    seeds: tuple[int, ...]
    keys: Mapping[str, Mapping[str, Any]]
    methods: Mapping[str, Mapping[str, Any]]
    attacks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    removals: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    changes: Mapping[str, Any] = field(default_factory=dict)
    size: int | None = None
    encoders: bool = False
    waiting: Mapping[str, str] = field(default_factory=dict)


class BadStudy(ValueError):
    """A configuration that cannot be run; says what is wrong, where, and what there is."""


def studies() -> dict[str, Path]:
    """The files of all configured studies, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("**/*.yaml"))}


def studies_named(names: str) -> list[str]:
    """The studies of these names, parted by commas; a folder of `FOLDER`, such as "paper", is all that are in it."""
    found = []
    for name in filter(None, map(str.strip, names.split(","))):
        inside = sorted(path.stem for path in (FOLDER / name).glob("*.yaml"))
        found += inside or [name]
    return found


def read_study(name: str, scale: str | None = None) -> Study:
    """The configured study of this name, at its own scale or another.

    Raises:
        BadStudy: for a name that there is not, or a configuration that cannot be run.
    """
    found = studies()
    if name not in found:
        raise BadStudy(f"there is no study {name!r} in {FOLDER}; there are: {', '.join(found)}")
    try:
        content = yaml.safe_load(found[name].read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise BadStudy(f"{found[name]} is not YAML: {error}") from error
    if isinstance(content, dict) and scale:
        content["scale"] = scale
    return study_of(name, content)


def study_of(name: str, content: Any) -> Study:
    """The study that this content of a file describes.

    Raises:
        BadStudy: names the study, the place in it, and what would do.
    """
    try:
        return _study(name, content)
    except BadStudy as error:
        raise BadStudy(f"study {name}: {error}") from error


def _study(name: str, content: Any) -> Study:
    known = [one.name for one in fields(Study) if one.name != "name"]
    needed = ("about", "scale", "data", "grids", "seeds", "keys", "methods")
    _check_names("the file", content, known, needed)
    _check_choice("scale", content["scale"], SCALES)
    _check_choice("data", content["data"], (*DATA_SETS, *OWN_DATA))
    seeds = _seeds("seeds", content["seeds"])
    for kind in ("methods", "attacks", "removals"):
        for one, given in _mapping(kind, content.get(kind, {})).items():
            if not isinstance(given, dict) or not isinstance(given.get("is"), str):
                raise BadStudy(
                    f"{kind}, {one!r}: say which class it is, as {{is: Distillation, temperature: 1}}"
                )
    for one, key in _mapping("keys", content["keys"]).items():
        _check_key(one, key, content["data"])
    if not isinstance(content["grids"], list) or not content["grids"]:
        raise BadStudy(f"grids: a list of grids is expected, not {content['grids']!r}")
    grids = tuple(
        _grid(f"grid {number}", given, content, seeds) for number, given in enumerate(content["grids"], 1)
    )
    rest = {one: content[one] for one in known if one in content}
    return Study(**rest | {"name": name, "grids": grids, "seeds": seeds})


def _grid(where: str, given: Any, content: dict, seeds: tuple[int, ...]) -> Grid:
    _check_names(where, given, ("seeds", *STAGES), ("victim",))
    axes = {}
    for stage in STAGES:
        if stage in given:
            needed = [one for one in AXES[stage] if one in NAMED]
            _check_names(f"{where}, {stage}", given[stage], tuple(AXES[stage]), needed)
            axes[stage] = {
                axis: tuple(_values(f"{where}, {stage}, {axis}", axis, value, content))
                for axis, value in given[stage].items()
            }
    return Grid(_seeds(f"{where}, seeds", given["seeds"]) if "seeds" in given else seeds, axes)


def _values(where: str, axis: str, given: Any, content: dict) -> Iterable[Any]:
    """The values of an axis: one, a list, or "all" that have a name."""
    values = given if isinstance(given, list) else [given]
    if axis in NAMED:
        named = content.get(NAMED[axis], {})
        values = list(named) if given == ALL else values
        for value in values:
            _check_choice(where, value, tuple(named))
    elif axis in CHOICES:
        for value in values:
            _check_choice(where, value, CHOICES[axis])
    else:
        for value in values:
            if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
                raise BadStudy(f"{where}: a number above 0 is expected, not {value!r}")
    if not values:
        raise BadStudy(f"{where}: the list is empty; name a value, or leave the axis out")
    return values


def _check_key(name: str, key: Any, data: str) -> None:
    _check_names(f"key {name!r}", key, ("sources", "target"), ("sources", "target"))
    sources = key["sources"]
    if (
        not isinstance(sources, list)
        or len({*map(str, sources), str(key["target"])}) != 3
        or len(sources) != 2
    ):
        raise BadStudy(f"key {name!r}: two sources and a target, all different, are expected, not {key}")
    for one in (*sources, key["target"]):
        if data in CLASSES and one not in CLASSES[data]:
            raise BadStudy(f"key {name!r}: {data} has no class {one!r}; it has: {', '.join(CLASSES[data])}")


def _check_names(where: str, given: Any, known: Sequence[str], needed: Iterable[str]) -> None:
    for name in _mapping(where, given):
        if name not in known:
            raise BadStudy(f"{where}: unknown name {name!r}; it may have: {', '.join(known)}")
    for name in needed:
        if name not in given:
            raise BadStudy(f"{where}: {name!r} is missing")


def _check_choice(where: str, value: Any, choices: Sequence[Any]) -> None:
    if isinstance(value, list | dict) or not any(
        value is one or (value == one and type(value) is type(one)) for one in choices
    ):
        raise BadStudy(f"{where}: unknown value {value!r}; choose among: {', '.join(map(str, choices))}")


def _mapping(where: str, given: Any) -> dict:
    if not isinstance(given, dict):
        raise BadStudy(f"{where}: names with values are expected, not {given!r}")
    return given


def _seeds(where: str, given: Any) -> tuple[int, ...]:
    if not isinstance(given, list) or not given or not all(type(one) is int and one >= 0 for one in given):
        raise BadStudy(f"{where}: a list of whole numbers from 0 is expected, not {given!r}")
    return tuple(given)
