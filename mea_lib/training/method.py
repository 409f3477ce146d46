"""What every method is: a frozen dataclass whose fields are its settings, and whose models are found or made."""

import hashlib
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

from torch import Tensor

from mea_lib.scale import Scale
from mea_lib.training.device import best_device, training_dtype

PACKAGE = __name__.split(".")[0]


@dataclass(frozen=True)
class Method:
    """The base of all methods: watermarks, extractions, removals and whatever else trains a model.

    A subclass is a frozen dataclass too. Its fields are its settings, so none of them can be forgotten in the recipe
    under which its models are kept.
    """

    def recipe(self, scale: Scale, **inputs: Any) -> dict[str, Any]:
        """Everything that decides what this method makes, apart from what it is given: to find it in the store.

        Args:
            scale: gives its name.
            inputs: what the method is given, in values that `as_plain` knows: data, key, answers, training and so on.

        Returns:
            values that JSON knows. "module" names the code that takes part (`mea_lib.shaping_code`); a method from
            outside the package brings a hash of its own code.
        """
        device = best_device()
        return {
            "method": type(self).__name__,
            **_code_of(type(self)),
            "settings": as_plain(self),
            "scale": scale.name,
            "device": device.type,
            "precision": str(training_dtype(device)),
            **as_plain(inputs),
        }


def as_plain(value: Any) -> Any:
    """The same in values that JSON knows: a dataclass by its name and fields, a tensor by its hash.

    Raises:
        TypeError: for something else, which could not be told from its like.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        own = {one.name: as_plain(getattr(value, one.name)) for one in fields(value)}
        return {"is": type(value).__name__} | own
    if isinstance(value, Mapping):
        return {str(name): as_plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [as_plain(one) for one in value]
    if isinstance(value, Tensor):
        return hashlib.sha256(value.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
    raise TypeError(
        f"a setting or an input of a method is a number, a text, a tensor, a list, a dict or a dataclass of these, not "
        f"{type(value).__name__}; a model cannot be found again by it"
    )


def _code_of(kind: type) -> dict[str, str]:
    """The module whose code takes part, and a hash of the classes that are not the package's."""
    outside = [
        one for one in kind.__mro__ if one.__module__.split(".")[0] not in (PACKAGE, "builtins", "abc")
    ]
    inside = next(one for one in kind.__mro__ if one.__module__.split(".")[0] == PACKAGE)
    if not outside:
        return {"module": inside.__module__}
    digest = hashlib.sha256()
    for one in outside:
        file = getattr(sys.modules.get(one.__module__), "__file__", None)
        if file is not None:
            digest.update(Path(file).read_bytes())
        else:  # a notebook's own class
            for text in _instructions(one):
                digest.update(text.encode())
    return {"module": inside.__module__, "own_code": digest.hexdigest()}


def _instructions(kind: type) -> Iterator[str]:
    """What the functions of a class do, as texts that are the same in every run of one Python."""
    for name, value in vars(kind).items():
        function = getattr(value, "__func__", getattr(value, "fget", value))
        if isinstance(function, FunctionType):
            yield f"{name}{_instructions_of(function.__code__)}"


def _instructions_of(code: CodeType) -> str:
    constants = [_instructions_of(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts]
    return f"{code.co_code.hex()}{constants}{code.co_names}{code.co_varnames}"
