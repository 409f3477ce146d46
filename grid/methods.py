"""Methods of the package from their descriptions in a configuration: a class by its name, and its settings."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from mea_lib import extraction, removal, training, watermarks
from mea_lib.training import FixedBalance

ROOMS = {"methods": (watermarks,), "attacks": (extraction,), "removals": (removal,)}
# What a configuration says beside a method's own settings.
BESIDE = {"methods": ("weights", "pretrained"), "attacks": (), "removals": ("images", "task")}


def method_of(kind: str, given: Mapping[str, Any]) -> Any:
    """The method that a configuration describes.

    Args:
        kind: "methods", "attacks" or "removals".
        given: its class as "is", and settings; a setting that is a method itself is described in the same way.
            "weights" changes some weights of a watermark's usual loss weighting.

    Raises:
        ValueError: for a class or a setting that there is not; names those there are.
    """
    settings = {name: value for name, value in given.items() if name not in BESIDE[kind]}
    method = _built(kind, settings)
    if given.get("weights"):
        if not isinstance(method.balance, FixedBalance):
            raise ValueError(
                f"{given['is']}: 'weights' change fixed weights, and its balance has none; leave one out"
            )
        method = replace(method, balance=FixedBalance({**method.balance.weights, **given["weights"]}))
    return method


def _built(kind: str, given: Mapping[str, Any]) -> Any:
    rooms = (*ROOMS[kind], training)
    name = given["is"]
    made = next((getattr(room, name) for room in rooms if name in getattr(room, "__all__", ())), None)
    if not is_dataclass(made):
        offered = [one for one in ROOMS[kind][0].__all__ if is_dataclass(getattr(ROOMS[kind][0], one))]
        raise ValueError(f"there is no {name!r} among the package's {kind}; there are: {', '.join(offered)}")
    settings = {one: _value(kind, value) for one, value in given.items() if one != "is"}
    known = [one.name for one in fields(made)]
    for one in settings:
        if one not in known:
            raise ValueError(f"{name} has no setting {one!r}; it has: {', '.join(known)}")
    return made(**settings)


def _value(kind: str, value: Any) -> Any:
    if isinstance(value, Mapping) and "is" in value:
        return _built(kind, value)
    return tuple(value) if isinstance(value, list) else value
